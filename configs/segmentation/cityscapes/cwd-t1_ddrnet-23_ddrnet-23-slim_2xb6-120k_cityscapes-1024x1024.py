_base_ = ['../../_base_/pairs/ddrnet-23_ddrnet-23-slim_2xb6-120k_cityscapes.py', '../../_base_/distillers/seg_cwd-t1.py']
model = dict(spots=_base_.distiller.spots)
