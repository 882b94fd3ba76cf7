# Networks of the same type: the policy initially prefers the teacher at every spot.
_base_ = ['../datasets/cifar100.py', '../schedules/sakd_240e_cifar.py']
model = dict(
    type='skd_mm.Distiller',
    input_shape=(3, 32, 32),
    teacher=dict(
        cfg='configs/teachers/vgg13bn_1xb64-240e_cifar100.py',
        checkpoint='work_dirs/vgg13bn_1xb64-240e_cifar100/best_accuracy_top1_*.pth',
        backbone_stages=['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4']),
    student=dict(
        cfg='configs/students/vgg8bn_cifar100.py',
        backbone_stages=['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4']),
    router=dict(gate='policy', teacher_bias=10))
