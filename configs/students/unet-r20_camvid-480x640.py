_base_ = './unet-r10_camvid-480x640.py'
model = dict(backbone=dict(depth=20))
