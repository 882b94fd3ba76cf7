_base_ = ['../_base_/models/classifier.py', '../_base_/datasets/tiny_imagenet.py', '../_base_/default_runtime_cls.py']
model = dict(
    backbone=dict(type='skd_mm.CIFARVGG', depth=8, num_pools=4), head=dict(in_channels=512, num_classes=200))
