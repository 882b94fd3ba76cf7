# Stages without labels, the head on a quarter of the labels, then the whole student without labels.
_base_ = '../_base_/resnet56_resnet20_cifar100.py'
schedule = dict(
    _delete_=True, type='FewLabels', phase_epochs=8, val_interval=4, fraction=0.25, head=dict(epochs=32),
    polish=dict(epochs=16))
