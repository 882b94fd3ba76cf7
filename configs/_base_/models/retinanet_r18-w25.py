_base_ = './retinanet_small.py'
default_scope = 'mmdet'
model = dict(
    backbone=dict(depth=18, base_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128]))
