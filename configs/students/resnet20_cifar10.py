_base_ = './resnet10_cifar10.py'
model = dict(backbone=dict(depth=20))
