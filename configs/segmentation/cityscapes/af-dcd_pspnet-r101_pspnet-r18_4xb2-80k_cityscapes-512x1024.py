_base_ = ['../../_base_/pairs/pspnet-r101_pspnet-r18_4xb2-80k_cityscapes.py', '../../_base_/distillers/seg_af-dcd.py']
model = dict(spots=_base_.distiller.spots)
