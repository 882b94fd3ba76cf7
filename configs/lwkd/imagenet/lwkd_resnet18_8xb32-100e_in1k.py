# 20 rows per class: 76 MiB instead of 381.
_base_ = [
    '../_base_/lwkd.py', '../../_base_/datasets/imagenet.py', '../../_base_/schedules/adam_onecycle_imagenet.py',
    '../../_base_/schedules/phases_cls.py'
]
prelude = dict(cfg='configs/teachers/lenet5_1xb128-20e_digits1000.py')
model = dict(teacher=dict(num_classes=1000, rows=20), student=dict(cfg='mmpretrain::resnet/resnet18_8xb32_in1k.py'))
schedule = dict(phase_epochs=100)
