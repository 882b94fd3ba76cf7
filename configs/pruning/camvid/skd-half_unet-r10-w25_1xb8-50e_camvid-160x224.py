# Half of the MACs: the pruned U-Net-R10 reproduces itself before pruning, stage by stage. The stages have fewer channels,
# too, which connectors map to those of the network before.
_base_ = [
    '../../_base_/models/distiller_unet.py', '../../_base_/datasets/camvid_160x224.py',
    '../../_base_/schedules/reconstruction.py'
]
float_network = dict(
    cfg='configs/skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py',
    checkpoint='work_dirs/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224/best_mIoU_*.pth')
model = dict(
    teacher=float_network,
    student=dict(**float_network, transform=dict(type='PruneChannels', macs=0.5)),
    spots=[dict(student=spot, connector=dict(type='RestoreChannels')) for spot in _base_.model.spots])
schedule = dict(type='Stagewise', phase_epochs=50, val_interval=50, fraction=0.1)
optim_wrapper = dict(optimizer=dict(lr=3e-2))
