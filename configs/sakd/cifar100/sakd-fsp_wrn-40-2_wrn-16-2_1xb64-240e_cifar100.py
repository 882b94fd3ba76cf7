_base_ = ['../../_base_/pairs/wrn-40-2_wrn-16-2_cifar100.py', '../../_base_/distillers/fsp.py']
model = dict(spots={{_base_.distiller.spots}}, router=dict(gamma={{_base_.distiller.gamma}}))
