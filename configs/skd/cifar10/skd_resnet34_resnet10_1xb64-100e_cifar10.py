_base_ = [
    '../../_base_/models/distiller_resnet.py', '../../_base_/datasets/cifar10.py',
    '../../_base_/schedules/adam_constant.py', '../../_base_/schedules/phases_cls.py'
]
model = dict(
    teacher=dict(
        cfg='configs/teachers/resnet34_1xb64-100e_cifar10.py',
        checkpoint='work_dirs/resnet34_1xb64-100e_cifar10/best_accuracy_top1_*.pth'),
    student=dict(cfg='configs/students/resnet10_cifar10.py'))
schedule = dict(type='Stagewise', phase_epochs=100, val_interval=1, fraction=1.0)
