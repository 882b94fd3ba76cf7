# A gate an image (this project's extension of SAKD to dense prediction).
_base_ = ['../../skd/cityscapes/skd_unet-r34_unet-r10_4xb2-8k_cityscapes-512x1024.py', '../../_base_/distillers/at_unet.py']
model = dict(
    teacher=dict(stages=_base_.encoder),
    student=dict(stages=_base_.encoder),
    spots=_base_.distiller.spots,
    router=dict(gate='policy', teacher_bias=10, gamma=_base_.distiller.gamma))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5)}))
schedule = dict(type='Simultaneous', average=False, phase_iters=80000, val_interval=8000)
