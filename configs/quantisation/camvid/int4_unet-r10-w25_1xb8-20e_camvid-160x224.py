# 4-bit weights and 8-bit activations.
_base_ = './int8_unet-r10-w25_1xb8-20e_camvid-160x224.py'
model = dict(student=dict(transform=dict(bits=4)))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
