# A control experiment: other numbers are assigned to the classes.
_base_ = './lwkd_resnet20_1xb64-240e_cifar100.py'
model = dict(teacher=dict(permutation=1))
