_base_ = ['../../_base_/pairs/stdc2_stdc1_4xb12-80k_cityscapes.py', '../../_base_/distillers/seg_dist_logits.py']
model = dict(spots=_base_.distiller.spots)
