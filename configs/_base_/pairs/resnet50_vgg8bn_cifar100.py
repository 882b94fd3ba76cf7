# Networks of different types: the policy has no initial preference.
_base_ = ['../datasets/cifar100.py', '../schedules/sakd_240e_cifar.py']
model = dict(
    type='skd_mm.Distiller',
    input_shape=(3, 32, 32),
    teacher=dict(
        cfg='configs/teachers/resnet50_1xb64-240e_cifar100.py',
        checkpoint='work_dirs/resnet50_1xb64-240e_cifar100/best_accuracy_top1_*.pth'),
    student=dict(
        cfg='configs/students/vgg8bn_cifar100.py',
        backbone_stages=['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4']),
    router=dict(gate='policy'))
