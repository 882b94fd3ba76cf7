_base_ = ['../../_base_/pairs/hrnet-w48_hrnet-w18s_4xb2-80k_cityscapes.py', '../../_base_/distillers/seg_skds_stride4.py']
model = dict(spots=_base_.distiller.spots)
schedule = dict(spots={'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001})
optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
