# (CE + sum of the MSEs of four attention maps) / 5, whole student at once.
_base_ = '../../skd/imagenet/skd_resnet34_resnet18_8xb32-20e_in1k.py'
model = dict(spots=[dict(student=f'backbone.layer{i}', loss=dict(type='ATLoss')) for i in (1, 2, 3, 4)])
schedule = dict(type='Simultaneous', phase_epochs=100)
