# HRNet-W48 teaches HRNet-W18-Small in mmsegmentation's protocol: 80,000 iterations, 4 GPUs with 2 images each, lr 0.01.
_base_ = '../../pairs/cityscapes/hrnet-w48_hrnet-w18s_4xb2_cityscapes-512x1024.py'
schedule = dict(_delete_=True, type='Simultaneous', average=False, phase_iters=80000, val_interval=8000)
