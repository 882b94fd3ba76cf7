_base_ = [
    '../_base_/models/classifier.py', '../_base_/datasets/cifar100.py',
    '../_base_/schedules/sgd_240e_cifar.py', '../_base_/default_runtime_cls.py'
]
model = dict(backbone=dict(type='ResNet_CIFAR', depth=50, zero_init_residual=False), head=dict(in_channels=2048))
