# The same on 10 % of the images, with as many iterations.
_base_ = './camvid_methods.py'
study = dict(
    title='CamVid, 10 % of the training images: U-Net R34 → R10 at a quarter of the width',
    fractions=[0.1],
    options={'schedule.val_interval': 50},
    methods=[dict(_base_.study.methods[0], epochs=270), *_base_.study.methods[1:]])
