# ImageNet weights exist at width 1 only, so this teacher starts from scratch.
_base_ = [
    '../_base_/models/unet_resnet.py', '../_base_/datasets/camvid_160x224.py', '../_base_/schedules/adam_onecycle.py',
    '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=_base_.normalisation,
    backbone=dict(width=0.25),
    decode_head=dict(num_classes=11, width=0.25))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=5)
cycle = dict(by_epoch=True, convert_to_iter_based=True, total_steps=100)
param_scheduler = [dict(scheduler, **cycle) for scheduler in _base_.param_scheduler]
