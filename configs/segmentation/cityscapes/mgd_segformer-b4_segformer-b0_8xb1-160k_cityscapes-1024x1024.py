_base_ = ['../../_base_/pairs/segformer-b4_segformer-b0_8xb1-160k_cityscapes.py', '../../_base_/distillers/seg_mgd_tokens.py']
model = dict(spots=_base_.distiller.spots)
