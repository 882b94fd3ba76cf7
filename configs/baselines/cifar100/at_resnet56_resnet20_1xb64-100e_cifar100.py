# (CE + sum of the MSEs of four attention maps) / 5, whole student at once.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=[dict(student=spot, loss=dict(type='ATLoss')) for spot in _base_.model.spots])
schedule = dict(type='Simultaneous')
