_base_ = [
    '../../_base_/datasets/cifar100.py', '../../_base_/schedules/sgd_240e_cifar.py',
    '../../_base_/default_runtime_cls.py'
]
model = dict(type='skd_mm.Distiller', student=dict(cfg='configs/students/resnet20_cifar100.py'))
schedule = dict(type='NoTeacher', phase_epochs=240, val_interval=5)
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
