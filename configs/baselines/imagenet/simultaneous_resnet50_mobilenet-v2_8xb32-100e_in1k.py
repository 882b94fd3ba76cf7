# (CE + sum of the MSEs of all four spots) / 5, whole student at once.
_base_ = '../../sskd/imagenet/sskd_resnet50_mobilenet-v2_8xb32-20e_in1k.py'
schedule = dict(type='Simultaneous', phase_epochs=100)
