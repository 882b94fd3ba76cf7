_base_ = ['../../_base_/pairs/deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-80k_context59.py', '../../_base_/distillers/seg_kd.py']
model = dict(spots=_base_.distiller.spots)
