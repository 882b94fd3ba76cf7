_base_ = ['../../_base_/pairs/deeplabv3-r101_pspnet-r18_4xb4-40k_camvid.py', '../../_base_/distillers/seg_skds_camvid.py']
model = dict(spots=_base_.distiller.spots)
schedule = dict(spots={'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001})
optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
