_base_ = ['../_base_/models/unet_resnet.py', '../_base_/datasets/cityscapes.py', '../_base_/default_runtime.py']
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(backbone=dict(depth=10, norm_cfg=norm_cfg), decode_head=dict(norm_cfg=norm_cfg))
