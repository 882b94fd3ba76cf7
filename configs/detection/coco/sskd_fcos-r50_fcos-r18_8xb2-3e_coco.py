# SSKD, our settings, as for RetinaNet. The teacher's images are normalised in its own way (Caffe's).
_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=dict(
        cfg='mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
        options={
            'model.backbone.depth': 18,
            'model.backbone.frozen_stages': -1,
            'model.backbone.style': 'pytorch',
            'model.backbone.norm_cfg.requires_grad': True,
            'model.backbone.init_cfg.checkpoint': 'torchvision://resnet18',
            'model.neck.in_channels': [64, 128, 256, 512],
            'model.data_preprocessor.mean': [123.675, 116.28, 103.53],
            'model.data_preprocessor.std': [58.395, 57.12, 57.375],
            'model.data_preprocessor.bgr_to_rgb': True,
        }),
    teacher=dict(
        cfg='mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
        checkpoint='https://download.openmmlab.com/mmdetection/v2.0/fcos/fcos_r50_caffe_fpn_gn-head_1x_coco/'
        'fcos_r50_caffe_fpn_gn-head_1x_coco-821213aa.pth'),
    spots='backbone')

schedule = dict(type='BackboneFirst', phase_epochs=3, val_interval=3, head=dict(epochs=12))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
train_dataloader = dict(batch_sampler=None)
param_scheduler = [
    dict(type='ConstantLR', factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', power=0.9, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP'))
