# KD on the labelled quarter, with the same temperature as the other configs of this folder.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=[dict(name='logits', student='head.fc', loss=dict(type='KDLoss', temperature=4))])
schedule = dict(
    type='Simultaneous', fraction=0.25, task=0.1, average=False, spots=dict(logits=0.9))
