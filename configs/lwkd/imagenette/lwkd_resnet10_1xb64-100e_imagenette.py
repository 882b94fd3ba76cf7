_base_ = [
    '../_base_/lwkd.py', '../../_base_/datasets/imagenette.py', '../../_base_/schedules/adam_constant.py',
    '../../_base_/schedules/phases_cls.py'
]
prelude = dict(cfg='configs/teachers/lenet5_1xb128-20e_digits10.py')
model = dict(teacher=dict(num_classes=10), student=dict(cfg='configs/students/resnet10_imagenette.py'))
schedule = dict(phase_epochs=100)
