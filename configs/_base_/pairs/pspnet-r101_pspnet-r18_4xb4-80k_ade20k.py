# PSPNet-R101 teaches PSPNet-R18 on ADE20K, in mmsegmentation's protocol of 80,000 iterations, as in BPKD's table with
# 4 GPUs and 4 images each.
_base_ = ['../datasets/ade20k.py', '../schedules/seg_80k.py']
model = dict(
    type='skd_mm.Distiller',
    teacher=dict(
        cfg='mmseg::pspnet/pspnet_r101-d8_4xb4-160k_ade20k-512x512.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pspnet/pspnet_r101-d8_512x512_160k_ade20k/'
        'pspnet_r101-d8_512x512_160k_ade20k_20200615_100650-967c316f.pth'),
    student=dict(
        cfg='mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
        options=_base_.adapted))
