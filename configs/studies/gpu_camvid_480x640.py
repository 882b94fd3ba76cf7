# SKD and its baselines at the paper's size: U-Net of full width from 10 % of CamVid at 480x640. For a GPU.
networks = 'unet-r34_unet-r10_1xb8-50e_camvid-480x640.py'
study = dict(
    title='CamVid, 10 % of the training images at 480×640: U-Net R34 → R10',
    seeds=[0, 1, 2],
    fractions=[0.1],
    metric='mIoU',
    split='test',
    baseline='no teacher',
    equal_compute='SKD',
    options={'schedule.val_interval': 25},
    teachers=[dict(name='R34', cfg='configs/teachers/unet-r34_1xb8-100e_camvid-480x640.py')],
    methods=[
        dict(name='no teacher', cfg='configs/baselines/camvid/no-teacher_unet-r10_1xb8-50e_camvid-480x640.py'),
        dict(name='simultaneous', cfg=f'configs/baselines/camvid/simultaneous_{networks}'),
        dict(
            name='SKD',
            cfg=f'configs/skd/camvid/skd_{networks}',
            epochs=50,
            options={'schedule.val_interval': 10, 'schedule.cache': 20}),
    ])
