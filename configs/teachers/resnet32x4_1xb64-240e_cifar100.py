_base_ = [
    '../_base_/models/classifier.py', '../_base_/datasets/cifar100.py',
    '../_base_/schedules/sgd_240e_cifar.py', '../_base_/default_runtime_cls.py'
]
model = dict(
    backbone=dict(type='skd_mm.CIFARResNet', depth=32, stem_channels=32, base_channels=64),
    head=dict(in_channels=256))
