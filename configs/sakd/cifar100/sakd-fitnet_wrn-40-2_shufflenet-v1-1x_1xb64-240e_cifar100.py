_base_ = ['../../_base_/pairs/wrn-40-2_shufflenet-v1-1x_cifar100.py', '../../_base_/distillers/fitnet.py']
model = dict(spots={{_base_.distiller.spots}}, router=dict(gamma={{_base_.distiller.gamma}}))
