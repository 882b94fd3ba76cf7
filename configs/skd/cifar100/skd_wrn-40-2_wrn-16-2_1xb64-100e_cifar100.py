_base_ = [
    '../../_base_/models/distiller_cifar.py', '../../_base_/datasets/cifar100.py',
    '../../_base_/schedules/adam_onecycle.py', '../../_base_/schedules/phases_cls.py'
]
model = dict(
    teacher=dict(
        cfg='configs/teachers/wrn-40-2_1xb64-240e_cifar100.py',
        checkpoint='work_dirs/wrn-40-2_1xb64-240e_cifar100/best_accuracy_top1_*.pth'),
    student=dict(cfg='configs/students/wrn-16-2_cifar100.py'))
schedule = dict(type='Stagewise', phase_epochs=100, val_interval=5, fraction=1.0)
