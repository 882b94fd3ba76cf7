# First everything up to layer2 on the MSE there; then the rest on the cross-entropy.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
schedule = dict(type='FitNets', hints='backbone.layer2')
