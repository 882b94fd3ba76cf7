# Starts from ImageNet weights, whose thousand classes include these ten.
_base_ = [
    '../_base_/models/resnet_concat-pool.py', '../_base_/datasets/imagenette.py',
    '../_base_/schedules/adam_constant.py', '../_base_/default_runtime_cls.py'
]
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34')))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
