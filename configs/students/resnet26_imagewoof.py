_base_ = './resnet10_imagewoof.py'
model = dict(backbone=dict(depth=26))
