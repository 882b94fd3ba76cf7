# λ = 0.
_base_ = './lwkd_resnet20_1xb64-240e_cifar100.py'
schedule = dict(phases=[dict(name='lwkd', train='all', task=0.1, spots={'logits': 0.9})])
