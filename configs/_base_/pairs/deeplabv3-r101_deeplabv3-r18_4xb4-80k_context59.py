# DeepLabV3-R101 teaches DeepLabV3-R18 on the 59 classes of Pascal Context, in mmsegmentation's protocol of 80,000
# iterations, as in BPKD's table with 4 GPUs and 4 images each.
_base_ = ['../datasets/pascal_context_59.py', '../schedules/seg_80k.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-80k_pascal-context-59-480x480.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_480x480_80k_pascal_context_59/'
        'deeplabv3_r101-d8_480x480_80k_pascal_context_59_20210416_113002-26303993.pth'),
    student=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        options=_base_.adapted))
