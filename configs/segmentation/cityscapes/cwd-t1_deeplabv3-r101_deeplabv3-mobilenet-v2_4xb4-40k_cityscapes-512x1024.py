_base_ = ['../../_base_/pairs/deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_cityscapes.py', '../../_base_/distillers/seg_cwd-t1.py']
model = dict(spots=_base_.distiller.spots)
