# λ = 0, and the class's mean target: smoothing by class.
_base_ = './lwkd-no-adversary_resnet20_1xb64-240e_cifar100.py'
model = dict(teacher=dict(target='mean'))
