# STDC2 teaches STDC1 in mmsegmentation's protocol: 80,000 iterations, 4 GPUs with 12 images each, lr 0.01 after a warm-up.
_base_ = '../../pairs/cityscapes/stdc2_stdc1_4xb12_cityscapes-512x1024.py'
schedule = dict(_delete_=True, type='Simultaneous', average=False, phase_iters=80000, val_interval=8000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False, begin=1000)]
