_base_ = './skd_unet-r34_unet-r10_4xb2-8k_cityscapes-512x1024.py'
model = dict(student=dict(cfg='configs/students/unet-r26_cityscapes-512x1024.py'))
