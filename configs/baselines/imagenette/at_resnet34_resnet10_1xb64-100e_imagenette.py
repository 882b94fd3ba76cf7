# (CE + sum of the MSEs of four attention maps) / 5, whole student at once.
_base_ = '../../skd/imagenette/skd_resnet34_resnet10_1xb64-100e_imagenette.py'
model = dict(spots=[dict(student=f'backbone.layer{i}', loss=dict(type='ATLoss')) for i in (1, 2, 3, 4)])
schedule = dict(type='Simultaneous')
