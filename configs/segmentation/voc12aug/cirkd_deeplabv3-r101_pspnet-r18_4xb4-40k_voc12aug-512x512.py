_base_ = ['../../_base_/pairs/deeplabv3-r101_pspnet-r18_4xb4-40k_voc12aug.py', '../../_base_/distillers/seg_cirkd_voc12aug.py']
model = dict(spots=_base_.distiller.spots)
