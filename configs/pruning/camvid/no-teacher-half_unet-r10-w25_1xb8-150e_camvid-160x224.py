# A network of these widths from scratch, with the learning rate of the other networks without a teacher.
_base_ = './fine-tuning-half_unet-r10-w25_1xb8-150e_camvid-160x224.py'
model = dict(student=dict(checkpoint=None))
optim_wrapper = dict(optimizer=dict(lr=4e-4))
param_scheduler = [
    dict(type='OneCycleLR', eta_max=1e-2, pct_start=0.3, by_epoch=False),
    dict(type='skd_mm.OneCycleMomentum', base_momentum=0.85, max_momentum=0.95, pct_start=0.3, by_epoch=False),
]
