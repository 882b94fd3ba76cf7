_base_ = './simultaneous-half_unet-r10-w25_1xb8-150e_camvid-160x224.py'
model = dict(student=dict(transform=dict(macs=0.25)))
