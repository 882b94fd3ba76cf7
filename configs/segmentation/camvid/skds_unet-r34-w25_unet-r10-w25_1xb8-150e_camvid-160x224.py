_base_ = ['../../_base_/pairs/unet-r34-w25_unet-r10-w25_1xb8-150e_camvid.py', '../../_base_/distillers/seg_skds_unet.py']
model = dict(spots=_base_.distiller.spots)
schedule = dict(spots={'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001})
optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
