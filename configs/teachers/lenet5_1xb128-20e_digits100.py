# The lightweight teacher of LW-KD, in our own design (docs/lwkd.md).
_base_ = ['../_base_/models/classifier.py', '../_base_/datasets/digits100.py', '../_base_/default_runtime_cls.py']
model = dict(backbone=dict(type='skd_mm.LeNet5'), neck=None, head=dict(in_channels=84, num_classes=100))
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=20, by_epoch=True, convert_to_iter_based=True)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=5)
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(save_best=None))
