# Stages end where the resolution changes.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=['backbone.layer1', 'backbone.layer2', 'backbone.layer3'])
schedule = dict(type='BackboneFirst')
