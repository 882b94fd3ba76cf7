_base_ = './resnet56_1xb64-240e_cifar100.py'
model = dict(backbone=dict(depth=20))
