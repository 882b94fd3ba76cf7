# 4-bit weights and 8-bit activations.
_base_ = './int8_resnet20_1xb64-5e_cifar100.py'
model = dict(student=dict(transform=dict(bits=4)))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
