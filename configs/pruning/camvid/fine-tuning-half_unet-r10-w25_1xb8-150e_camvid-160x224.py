# The pruned network is trained on the labels alone.
_base_ = ['../../_base_/datasets/camvid_160x224.py', '../../_base_/schedules/reconstruction.py']
model = dict(
    type='skd_mm.Distiller',
    student=dict(
        cfg='configs/skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py',
        checkpoint='work_dirs/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224/best_mIoU_*.pth',
        transform=dict(type='PruneChannels', macs=0.5)))
schedule = dict(type='NoTeacher', phase_epochs=150, val_interval=50, fraction=0.1)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
