# SSKD, our settings: three epochs for each stage of the backbone, then neck and head for twelve.
_base_ = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=dict(
        cfg='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
        options={'model.backbone.frozen_stages': -1}),  # the first stage is trained, too
    teacher=dict(
        cfg='mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_1x_coco/'
        'retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth'),
    spots='backbone')

schedule = dict(type='BackboneFirst', phase_epochs=3, val_interval=3, head=dict(epochs=12))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
train_dataloader = dict(batch_sampler=None)  # the phases draw the batches themselves
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', power=0.9, by_epoch=False),  # to the end of each phase
]
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
