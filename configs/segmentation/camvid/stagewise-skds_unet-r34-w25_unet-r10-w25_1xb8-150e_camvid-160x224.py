# SKD, stage by stage; then the whole student on the ground truth and another method.
_base_ = ['../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py', '../../_base_/distillers/seg_skds_unet.py']
model = dict(spots=[*_base_.model.spots, *_base_.distiller.spots])
head_spots = {'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001}
schedule = dict(fraction=1.0, head_spots=head_spots, head=dict(train=['all']))
optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))
