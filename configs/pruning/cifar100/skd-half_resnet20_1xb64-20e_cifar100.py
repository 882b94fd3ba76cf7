# Half of the MACs: the pruned ResNet-20 reproduces itself before pruning, stage by stage. Its stages keep their channels.
_base_ = [
    '../../_base_/models/distiller_cifar.py', '../../_base_/datasets/cifar100.py',
    '../../_base_/schedules/reconstruction_cls.py'
]
float_network = dict(
    cfg='configs/skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py',
    checkpoint='work_dirs/skd_resnet56_resnet20_1xb64-100e_cifar100/best_accuracy_top1_*.pth')
model = dict(
    teacher=float_network,
    student=dict(**float_network, transform=dict(type='PruneChannels', macs=0.5, keep=_base_.model.spots)))
schedule = dict(type='Stagewise', phase_epochs=20, val_interval=5, fraction=0.1)
