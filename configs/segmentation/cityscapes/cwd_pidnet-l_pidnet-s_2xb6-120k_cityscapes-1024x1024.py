_base_ = ['../../_base_/pairs/pidnet-l_pidnet-s_2xb6-120k_cityscapes.py', '../../_base_/distillers/seg_cwd.py']
model = dict(spots=_base_.distiller.spots)
