_base_ = '../../skd/cifar10/skd_resnet34_resnet10_1xb64-100e_cifar10.py'
model = dict(spots='backbone')
schedule = dict(type='BackboneFirst')
