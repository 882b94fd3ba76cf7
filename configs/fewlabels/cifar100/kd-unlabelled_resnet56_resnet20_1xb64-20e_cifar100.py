# The comparison in one phase: KD at the logits on all images, without labels.
_base_ = '../_base_/resnet56_resnet20_cifar100.py'
schedule = dict(
    _delete_=True, type='Simultaneous', phase_epochs=20, val_interval=4, task=0, average=False, spots=dict(logits=1))
