# SSKD, our settings: twenty epochs for each stage of the backbone, then neck and head for a hundred. The zoo's EMA is
# kept; its switch of the pipeline in epoch 280 is not.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=dict(cfg='mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'),
    teacher=dict(
        cfg='mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_s_8xb32-300e_coco/'
        'rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth'),
    spots='backbone')

schedule = dict(type='BackboneFirst', phase_epochs=20, val_interval=10, head=dict(epochs=100))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
train_dataloader = dict(batch_sampler=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, by_epoch=False, begin=0, end=1000),
    dict(type='PolyLR', power=0.9, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, update_buffers=True, priority=49)]
