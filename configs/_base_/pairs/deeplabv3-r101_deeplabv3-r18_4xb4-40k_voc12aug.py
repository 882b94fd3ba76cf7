# DeepLabV3-R101 teaches DeepLabV3-R18 on Pascal VOC, in CIRKD's protocol of 40,000 iterations with 4 GPUs and 4
# images each.
_base_ = ['../datasets/pascal_voc12_aug.py', '../schedules/seg_40k.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x512_40k_voc12aug/'
        'deeplabv3_r101-d8_512x512_40k_voc12aug_20200613_161432-0017d784.pth'),
    student=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        options=_base_.adapted))
