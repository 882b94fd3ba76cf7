# A control: the classes are played by other numbers.
_base_ = './lwkd_resnet20_1xb64-240e_cifar100.py'
model = dict(teacher=dict(permutation=1))
