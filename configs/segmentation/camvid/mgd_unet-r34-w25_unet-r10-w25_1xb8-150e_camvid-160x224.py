_base_ = ['../../_base_/pairs/unet-r34-w25_unet-r10-w25_1xb8-150e_camvid.py', '../../_base_/distillers/seg_mgd_unet.py']
model = dict(spots=_base_.distiller.spots)
