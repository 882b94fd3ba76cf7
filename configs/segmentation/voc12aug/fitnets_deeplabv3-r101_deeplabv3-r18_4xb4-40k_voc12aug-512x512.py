_base_ = ['../../_base_/pairs/deeplabv3-r101_deeplabv3-r18_4xb4-40k_voc12aug.py', '../../_base_/distillers/seg_fitnets.py']
model = dict(spots=_base_.distiller.spots)
