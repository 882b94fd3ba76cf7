# Stages end where the resolution changes.
_base_ = '../../skd/cifar100/skd_vgg13bn_vgg8bn_1xb64-100e_cifar100.py'
model = dict(spots=['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer4'])
schedule = dict(type='BackboneFirst')
