_base_ = ['../../_base_/pairs/resnet50_vgg8bn_cifar100.py', '../../_base_/distillers/fitnet.py']
model = dict(spots={{_base_.distiller.spots}}, router=dict(gamma={{_base_.distiller.gamma}}))
