# First everything up to layer2, by the MSE there; then the rest, by the cross-entropy.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
schedule = dict(type='FitNets', hints='backbone.layer2')
