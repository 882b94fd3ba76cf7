# SegFormer-B4 teaches SegFormer-B0 in mmsegmentation's protocol: 160,000 iterations, 8 GPUs with 1 image each, AdamW, lr
# 6e-5. CIRKD's has the same lengths, with lr 2e-4. Their teacher has 81.23 mIoU, mmsegmentation's 81.89.
_base_ = '../../pairs/cityscapes/segformer-b4_segformer-b0_8xb1_cityscapes-1024x1024.py'
schedule = dict(_delete_=True, type='Simultaneous', average=False, phase_iters=160000, val_interval=16000)
