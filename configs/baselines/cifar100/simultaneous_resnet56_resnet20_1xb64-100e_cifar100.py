# (CE + sum of the MSEs of all four spots) / 5, whole student at once.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
schedule = dict(type='Simultaneous')
