# DeepLabV3-R101 teaches DeepLabV3-R18 on CamVid, in CIRKD's protocol of 40,000 iterations with 4 GPUs and 4 images
# each.
_base_ = ['../datasets/camvid_360x360.py', '../schedules/seg_40k.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='configs/teachers/deeplabv3-r101_4xb4-40k_camvid-360x360.py',
        checkpoint='work_dirs/deeplabv3-r101_4xb4-40k_camvid-360x360/best_mIoU_*.pth'),
    student=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        options=_base_.adapted))
