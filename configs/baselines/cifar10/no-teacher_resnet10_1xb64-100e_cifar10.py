_base_ = [
    '../../_base_/datasets/cifar10.py', '../../_base_/schedules/adam_constant.py',
    '../../_base_/schedules/phases_cls.py'
]
model = dict(type='skd_mm.Distiller', student=dict(cfg='configs/students/resnet10_cifar10.py'))
schedule = dict(type='NoTeacher', phase_epochs=100, val_interval=1, fraction=1.0)
