# Networks of the same type: the policy initially prefers the teacher at every spot. Their features are the
# sums before the activation, as in the code of CRD and SAKD.
_base_ = ['../datasets/cifar100.py', '../schedules/sakd_240e_cifar.py']
model = dict(
    type='skd_mm.Distiller',
    input_shape=(3, 32, 32),
    teacher=dict(
        cfg='configs/teachers/wrn-40-2_1xb64-240e_cifar100.py',
        checkpoint='work_dirs/wrn-40-2_1xb64-240e_cifar100/best_accuracy_top1_*.pth',
        backbone_stages=['backbone.layer1.blocks', 'backbone.layer2.blocks', 'backbone.layer3.blocks']),
    student=dict(
        cfg='configs/students/wrn-16-2_cifar100.py',
        backbone_stages=['backbone.layer1.blocks', 'backbone.layer2.blocks', 'backbone.layer3.blocks']),
    router=dict(gate='policy', teacher_bias=10))
