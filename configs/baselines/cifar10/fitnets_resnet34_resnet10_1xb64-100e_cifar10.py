# First everything up to layer2 on the MSE there; then the rest on the cross-entropy.
_base_ = '../../skd/cifar10/skd_resnet34_resnet10_1xb64-100e_cifar10.py'
schedule = dict(type='FitNets', hints='backbone.layer2')
