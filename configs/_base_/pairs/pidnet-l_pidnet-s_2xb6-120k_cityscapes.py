# PIDNet-L teaches PIDNet-S in mmsegmentation's protocol: 120,000 iterations, 2 GPUs with 6 images each, lr 0.01.
_base_ = '../../pairs/cityscapes/pidnet-l_pidnet-s_2xb6_cityscapes-1024x1024.py'
schedule = dict(_delete_=True, type='Simultaneous', average=False, phase_iters=120000, val_interval=12000)
