# (CE + sum of the MSEs of all five spots) / 6, whole student at once.
_base_ = '../../skd/imagenet/skd_resnet34_resnet18_8xb32-20e_in1k.py'
schedule = dict(type='Simultaneous', phase_epochs=100)
