_base_ = './skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
model = dict(student=dict(cfg='configs/students/unet-r14_camvid-480x640.py'))
