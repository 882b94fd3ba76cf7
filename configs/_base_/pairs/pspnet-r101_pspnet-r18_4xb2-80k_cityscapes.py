# PSPNet-R101 teaches PSPNet-R18 in mmsegmentation's protocol: 80,000 iterations, 4 GPUs with 2 images each, lr 0.01.
_base_ = 'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)
model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/pspnet/pspnet_r101-d8_512x1024_80k_cityscapes/'
        'pspnet_r101-d8_512x1024_80k_cityscapes_20200606_112211-e1e1100f.pth'))
schedule = dict(type='Simultaneous', average=False, phase_iters=80000, val_interval=8000)
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)]
