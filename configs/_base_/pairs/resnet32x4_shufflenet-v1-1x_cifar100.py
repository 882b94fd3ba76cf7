# Networks of different types: the policy has no initial preference.
_base_ = ['../datasets/cifar100.py', '../schedules/sakd_240e_cifar.py']
optim_wrapper = dict(optimizer=dict(lr=0.01))
model = dict(
    type='skd_mm.Distiller',
    input_shape=(3, 32, 32),
    teacher=dict(
        cfg='configs/teachers/resnet32x4_1xb64-240e_cifar100.py',
        checkpoint='work_dirs/resnet32x4_1xb64-240e_cifar100/best_accuracy_top1_*.pth'),
    student=dict(cfg='configs/students/shufflenet-v1-1x_cifar100.py'),
    router=dict(gate='policy'))
