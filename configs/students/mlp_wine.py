_base_ = ['../_base_/models/classifier.py', '../_base_/datasets/wine.py', '../_base_/default_runtime_cls.py']
model = dict(
    backbone=dict(type='skd_mm.MLP', in_channels=13), neck=None,
    head=dict(in_channels=32, num_classes=3, topk=(1, )))
