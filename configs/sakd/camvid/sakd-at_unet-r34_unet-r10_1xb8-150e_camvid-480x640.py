# One gate per image (our extension of SAKD to dense prediction).
_base_ = ['../../skd/camvid/skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py', '../../_base_/distillers/at_unet.py']
model = dict(spots=_base_.distiller.spots, **_base_.routed)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5)}))
schedule = dict(type='Simultaneous', average=False, phase_epochs=150, val_interval=5)
