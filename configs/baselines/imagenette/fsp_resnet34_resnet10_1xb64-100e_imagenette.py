# First the mean of the MSEs of three FSP matrices; then the cross-entropy; whole student in both phases.
_base_ = '../../skd/imagenette/skd_resnet34_resnet10_1xb64-100e_imagenette.py'
model = dict(spots=[
    dict(name=f'flow{i}', student=[f'backbone.layer{i}', f'backbone.layer{i + 1}'], loss=dict(type='FSPLoss'))
    for i in (1, 2, 3)])
schedule = dict(type='Phases', phases=[
    dict(name='flow', train='all', spots=dict(flow1=1 / 3, flow2=1 / 3, flow3=1 / 3)),
    dict(name='task', train='all', task=1)])
