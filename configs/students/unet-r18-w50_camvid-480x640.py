_base_ = './unet-r18_camvid-480x640.py'
model = dict(backbone=dict(width=0.5), decode_head=dict(width=0.5))
