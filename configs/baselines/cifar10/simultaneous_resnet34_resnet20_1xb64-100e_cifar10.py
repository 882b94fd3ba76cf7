# (CE + sum of the MSEs of all five spots) / 6, whole student at once.
_base_ = '../../skd/cifar10/skd_resnet34_resnet20_1xb64-100e_cifar10.py'
schedule = dict(type='Simultaneous')
