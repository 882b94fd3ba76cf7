# SSKD, our settings, as for RetinaNet; the head is neck, RPN and RoI head.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=dict(
        cfg='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        options={
            'model.backbone.depth': 18,
            'model.backbone.frozen_stages': -1,
            'model.backbone.init_cfg.checkpoint': 'torchvision://resnet18',
            'model.neck.in_channels': [64, 128, 256, 512],
        }),
    teacher=dict(
        cfg='mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_1x_coco/'
        'faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth'),
    spots='backbone')

schedule = dict(type='BackboneFirst', phase_epochs=3, val_interval=3, head=dict(epochs=12))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
train_dataloader = dict(batch_sampler=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', power=0.9, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
