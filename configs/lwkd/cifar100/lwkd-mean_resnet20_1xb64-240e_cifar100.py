# The class's mean target instead of a random row.
_base_ = './lwkd_resnet20_1xb64-240e_cifar100.py'
model = dict(teacher=dict(target='mean'))
