_base_ = ['../../_base_/pairs/resnet32x4_resnet32_cifar100.py', '../../_base_/distillers/at.py']
model = dict(spots={{_base_.distiller.spots}}, router=dict(gamma={{_base_.distiller.gamma}}))
