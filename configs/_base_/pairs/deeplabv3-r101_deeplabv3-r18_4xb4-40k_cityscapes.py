# DeepLabV3-R101 teaches DeepLabV3-R18 in CIRKD's protocol: 40,000 iterations, 16 images per iteration, lr 0.02, weight
# decay 1e-4. Their teacher has 78.07 mIoU, mmsegmentation's 80.20.
_base_ = 'mmseg::deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)
model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=_base_.model,
    teacher=dict(
        cfg='mmseg::deeplabv3/deeplabv3_r101-d8_4xb2-80k_cityscapes-512x1024.py',
        checkpoint='https://mmassets.onedl.ai/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x1024_80k_cityscapes/'
        'deeplabv3_r101-d8_512x1024_80k_cityscapes_20200606_113503-9e428899.pth'))
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=1e-4))
schedule = dict(type='Simultaneous', average=False, phase_iters=40000, val_interval=4000)
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, by_epoch=False)]
