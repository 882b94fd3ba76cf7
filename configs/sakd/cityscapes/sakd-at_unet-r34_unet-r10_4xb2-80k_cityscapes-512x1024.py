# One gate per image (our extension of SAKD to dense prediction).
_base_ = ['../../skd/cityscapes/skd_unet-r34_unet-r10_4xb2-8k_cityscapes-512x1024.py', '../../_base_/distillers/at_unet.py']
model = dict(spots=_base_.distiller.spots, **_base_.routed)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5)}))
schedule = dict(type='Simultaneous', average=False, phase_iters=80000, val_interval=8000)
