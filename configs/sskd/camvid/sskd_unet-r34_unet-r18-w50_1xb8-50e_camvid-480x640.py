_base_ = '../../skd/camvid/skd_unet-r34_unet-r18_1xb8-50e_camvid-480x640.py'
model = dict(student=dict(cfg='configs/students/unet-r18-w50_camvid-480x640.py'), spots='backbone')
schedule = dict(type='BackboneFirst')
