_base_ = [
    '../../_base_/datasets/imagenet.py', '../../_base_/schedules/adam_onecycle_imagenet.py',
    '../../_base_/schedules/phases_cls.py'
]
model = dict(type='skd_mm.Distiller', student=dict(cfg='mmpretrain::resnet/resnet18_8xb32_in1k.py'))
schedule = dict(type='NoTeacher', phase_epochs=100, val_interval=1, fraction=1.0)
