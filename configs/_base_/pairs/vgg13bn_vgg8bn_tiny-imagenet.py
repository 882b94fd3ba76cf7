# Networks of the same type: the policy initially prefers the teacher at every spot. γ is 2 for all distillers.
_base_ = ['../datasets/tiny_imagenet.py', '../schedules/sakd_240e_cifar.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='configs/teachers/vgg13bn_1xb64-240e_tiny-imagenet.py',
        checkpoint='work_dirs/vgg13bn_1xb64-240e_tiny-imagenet/best_accuracy_top1_*.pth',
        backbone_stages=['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4']),
    student=dict(
        cfg='configs/students/vgg8bn_tiny-imagenet.py',
        backbone_stages=['backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4']),
    router=dict(gate='policy', teacher_bias=10, gamma=2))
