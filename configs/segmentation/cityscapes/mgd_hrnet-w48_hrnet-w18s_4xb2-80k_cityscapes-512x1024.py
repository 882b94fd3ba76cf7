_base_ = ['../../_base_/pairs/hrnet-w48_hrnet-w18s_4xb2-80k_cityscapes.py', '../../_base_/distillers/seg_mgd.py']
model = dict(spots=_base_.distiller.spots)
