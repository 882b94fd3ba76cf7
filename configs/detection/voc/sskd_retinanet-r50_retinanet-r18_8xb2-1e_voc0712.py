# SSKD, our settings: an epoch for each stage of the backbone, then neck and head for four; an epoch reads each image three
# times. mmdetection has no weights of the teacher for VOC: train it first,
#   mim train mmdet retinanet_r50_fpn_1x_voc0712.py --work-dir work_dirs/retinanet_r50_fpn_1x_voc0712
_base_ = 'mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py'
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)

model = dict(
    _delete_=True,
    type='skd_mm.Distiller',
    student=dict(
        cfg='mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py',
        options={
            'model.backbone.depth': 18,
            'model.backbone.frozen_stages': -1,
            'model.backbone.init_cfg.checkpoint': 'torchvision://resnet18',
            'model.neck.in_channels': [64, 128, 256, 512],
        }),
    teacher=dict(
        cfg='mmdet::pascal_voc/retinanet_r50_fpn_1x_voc0712.py',
        checkpoint='work_dirs/retinanet_r50_fpn_1x_voc0712/epoch_4.pth'),
    spots='backbone')

schedule = dict(type='BackboneFirst', phase_epochs=1, val_interval=1, head=dict(epochs=4))
train_cfg = dict(_delete_=True, type='skd_mm.PhaseLoop')
train_dataloader = dict(batch_sampler=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', power=0.9, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(save_best='pascal_voc/mAP'))
