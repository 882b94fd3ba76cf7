_base_ = './unet-r10_cityscapes-512x1024.py'
model = dict(backbone=dict(depth=20))
