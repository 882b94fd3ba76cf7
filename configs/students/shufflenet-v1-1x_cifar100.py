_base_ = ['../_base_/models/classifier.py', '../_base_/datasets/cifar100.py', '../_base_/default_runtime_cls.py']
model = dict(backbone=dict(type='skd_mm.CIFARShuffleNetV1', groups=3), head=dict(in_channels=960))
