_base_ = './mobilenet-v2-1x_cifar100.py'
model = dict(backbone=dict(widen_factor=0.5))
