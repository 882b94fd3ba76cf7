# Networks of the same type: the policy initially prefers the teacher at every spot.
_base_ = ['../datasets/cifar100.py', '../schedules/sakd_240e_cifar.py']
model = dict(
    type='skd_mm.Distiller',
    input_shape=(3, 32, 32),
    teacher=dict(
        cfg='configs/teachers/resnet110_1xb64-240e_cifar100.py',
        checkpoint='work_dirs/resnet110_1xb64-240e_cifar100/best_accuracy_top1_*.pth'),
    student=dict(cfg='configs/students/resnet32_cifar100.py'),
    router=dict(gate='policy', teacher_bias=10))
