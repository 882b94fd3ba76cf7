_base_ = [
    '../_base_/models/unet_resnet.py', '../_base_/datasets/camvid.py', '../_base_/schedules/adam_onecycle.py',
    '../_base_/default_runtime.py'
]
model = dict(
    data_preprocessor=_base_.normalisation,
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34')),
    decode_head=dict(num_classes=11))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
cycle = dict(by_epoch=True, convert_to_iter_based=True, total_steps=100)
param_scheduler = [dict(scheduler, **cycle) for scheduler in _base_.param_scheduler]
