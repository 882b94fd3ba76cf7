_base_ = './resnet10_imagenette.py'
model = dict(backbone=dict(depth=14))
