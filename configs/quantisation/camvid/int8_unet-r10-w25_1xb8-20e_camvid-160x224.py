# The distilled U-Net-R10 with 8-bit weights and activations reproduces itself in float, stage by stage and without labels.
_base_ = [
    '../../_base_/models/distiller_unet.py', '../../_base_/datasets/camvid_160x224.py',
    '../../_base_/schedules/reconstruction.py'
]
float_network = dict(
    cfg='configs/skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py',
    checkpoint='work_dirs/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224/best_mIoU_*.pth')
model = dict(
    teacher=float_network,
    student=dict(**float_network, transform=dict(type='FakeQuantize', bits=8)),
    spots=[*_base_.model.spots, 'decode_head.conv_seg'])
# Rounding to 8 bits changes little, and larger rates change more than they repair.
optim_wrapper = dict(optimizer=dict(lr=3e-5))
schedule = dict(type='StagewiseReconstruction', phase_epochs=20, fraction=0.1)
