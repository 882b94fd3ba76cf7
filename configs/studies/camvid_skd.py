# U-Net on ResNet-34 teaches U-Net on ResNet-10, both of a quarter of the width, from 10 % of CamVid at 160x224.
_base_ = './_base_/camvid.py'
networks = 'unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
study = dict(
    title='CamVid, 10 % of the training images: U-Net R34 → R10 at a quarter of the width',
    seeds=[0, 1, 2, 3, 4],
    fractions=[0.1],
    baseline='no teacher',
    equal_compute='SKD',
    options={'schedule.val_interval': 20},
    teachers=[_base_.teacher],
    methods=[
        dict(name='no teacher', cfg='configs/baselines/camvid/no-teacher_unet-r10-w25_1xb8-150e_camvid-160x224.py'),
        dict(name='traditional', cfg=f'configs/baselines/camvid/traditional_{networks}'),
        dict(name='simultaneous', cfg=f'configs/baselines/camvid/simultaneous_{networks}'),
        dict(
            name='SKD',
            cfg=f'configs/skd/camvid/skd_{networks}',
            epochs=100,
            options={'schedule.val_interval': 10, 'schedule.cache': 2}),
    ])
