# CE + MSE(layer2) + MSE(decoder block 2), whole student at once.
_base_ = '../../skd/camvid/skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
schedule = dict(type='Simultaneous', spots=['backbone.layer2', 'decode_head.blocks.2'], average=False)
