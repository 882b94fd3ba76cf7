_base_ = [
    '../_base_/models/unet_resnet.py', '../_base_/datasets/cityscapes.py', 'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_80k.py'
]
custom_imports = dict(imports=['skd_mm'], allow_failed_imports=False)
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(norm_cfg=norm_cfg, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34')),
    decode_head=dict(norm_cfg=norm_cfg))
default_hooks = dict(checkpoint=dict(save_best='mIoU'))
