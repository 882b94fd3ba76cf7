# First the mean of the MSEs of three FSP matrices; then the cross-entropy; whole student in both phases.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=[
    dict(name=f'flow{i + 1}', student=_base_.model.spots[i:i + 2], loss=dict(type='FSPLoss')) for i in range(3)])
schedule = dict(type='Phases', phases=[
    dict(name='flow', train='all', spots=dict(flow1=1 / 3, flow2=1 / 3, flow3=1 / 3)),
    dict(name='task', train='all', task=1)])
