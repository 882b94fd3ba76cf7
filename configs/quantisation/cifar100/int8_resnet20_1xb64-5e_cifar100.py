# The distilled ResNet-20 with 8-bit weights and activations reproduces itself in float, stage by stage and without labels.
_base_ = [
    '../../_base_/models/distiller_cifar.py', '../../_base_/datasets/cifar100.py',
    '../../_base_/schedules/reconstruction_cls.py'
]
float_network = dict(
    cfg='configs/skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py',
    checkpoint='work_dirs/skd_resnet56_resnet20_1xb64-100e_cifar100/best_accuracy_top1_*.pth')
model = dict(
    teacher=float_network,
    student=dict(**float_network, transform=dict(type='FakeQuantize', bits=8)),
    spots=[*_base_.model.spots, 'head.fc'])
# Rounding to 8 bits changes little, and larger rates change more than they repair.
optim_wrapper = dict(optimizer=dict(lr=3e-5))
schedule = dict(type='StagewiseReconstruction', phase_epochs=5, fraction=0.1)
