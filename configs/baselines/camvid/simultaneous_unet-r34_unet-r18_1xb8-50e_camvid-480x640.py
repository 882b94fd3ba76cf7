_base_ = './simultaneous_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
model = dict(student=dict(cfg='configs/students/unet-r18_camvid-480x640.py'))
