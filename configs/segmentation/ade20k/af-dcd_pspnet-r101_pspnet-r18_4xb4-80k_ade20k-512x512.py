_base_ = ['../../_base_/pairs/pspnet-r101_pspnet-r18_4xb4-80k_ade20k.py', '../../_base_/distillers/seg_af-dcd_ade20k.py']
model = dict(spots=_base_.distiller.spots)
