_base_ = [
    '../../_base_/datasets/cifar100.py', '../../_base_/schedules/adam_onecycle.py',
    '../../_base_/schedules/phases_cls.py'
]
model = dict(type='skd_mm.Distiller', student=dict(cfg='configs/students/resnet20_cifar100.py'))
schedule = dict(type='NoTeacher', phase_epochs=100, val_interval=5, fraction=1.0)
