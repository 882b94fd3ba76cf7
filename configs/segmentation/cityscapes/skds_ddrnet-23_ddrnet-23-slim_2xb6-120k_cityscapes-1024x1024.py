_base_ = ['../../_base_/pairs/ddrnet-23_ddrnet-23-slim_2xb6-120k_cityscapes.py', '../../_base_/distillers/seg_skds.py']
model = dict(spots=_base_.distiller.spots)
schedule = dict(spots={'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001})
optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
