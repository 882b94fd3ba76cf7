_base_ = ['../../_base_/pairs/vgg13bn_mobilenet-v2-1x_cifar100.py', '../../_base_/distillers/sp.py']
model = dict(spots={{_base_.distiller.spots}}, router=dict(gamma={{_base_.distiller.gamma}}))
