# DeepLabV3-R101 teaches DeepLabV3-MobileNetV2 on ADE20K, in CIRKD's protocol of 40,000 iterations with 4 GPUs and 4
# images each.
_base_ = ['../datasets/ade20k.py', '../schedules/seg_40k.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-160k_ade20k-512x512.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x512_160k_ade20k/'
        'deeplabv3_r101-d8_512x512_160k_ade20k_20200615_105816-b1f72b3b.pth'),
    student=dict(
        cfg='mmseg::mobilenet_v2/mobilenet-v2-d8_deeplabv3_4xb2-80k_cityscapes-512x1024.py',
        options=_base_.adapted))
