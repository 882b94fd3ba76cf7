_base_ = ['../../_base_/pairs/deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_camvid.py', '../../_base_/distillers/seg_pkd.py']
model = dict(spots=_base_.distiller.spots)
