_base_ = [
    '../_base_/lwkd.py', '../../_base_/datasets/cifar100.py', '../../_base_/schedules/sgd_240e_cifar.py',
    '../../_base_/default_runtime_cls.py'
]
prelude = dict(cfg='configs/teachers/lenet5_1xb128-20e_digits100.py')
model = dict(teacher=dict(num_classes=100), student=dict(cfg='configs/students/resnet20_cifar100.py'))
schedule = dict(phase_epochs=240)
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
