# The teacher.
_base_ = ['../../_base_/models/retinanet_small.py', '../../_base_/datasets/street_scenes_boxes.py',
          '../../_base_/default_runtime_det.py']
model = dict(
    backbone=dict(depth=18, base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256]))
epochs = 12
train_dataloader = dict(sampler=dict(type='DefaultSampler'))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=6)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.01),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='OneCycleLR', eta_max=2e-3, pct_start=0.2, by_epoch=True, convert_to_iter_based=True, total_steps=epochs)]
