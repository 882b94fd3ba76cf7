_base_ = ['../../_base_/pairs/vgg13bn_vgg8bn_cifar100.py', '../../_base_/distillers/rkd.py']
model = dict(spots={{_base_.distiller.spots}}, router=dict(gamma={{_base_.distiller.gamma}}))
