# CE + MSE(layer2) + MSE(decoder block 2), whole student at once.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
schedule = dict(type='Simultaneous', spots=['backbone.layer2', 'decode_head.blocks.2'], average=False)
