_base_ = [
    '../_base_/models/resnet_concat-pool.py', '../_base_/datasets/imagenette.py', '../_base_/default_runtime_cls.py'
]
model = dict(backbone=dict(depth=10))
