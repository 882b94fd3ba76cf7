# U-Net on ResNet-34 teaches U-Net on ResNet-10, both of a quarter of the width, from 10 % of CamVid at 160x224.
networks = 'unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
study = dict(
    title='CamVid, 10 % of the training images: U-Net R34 → R10 at a quarter of the width',
    seeds=[0, 1, 2, 3, 4],
    fractions=[0.1],
    metric='mIoU',
    split='test',
    baseline='no teacher',
    equal_compute='SKD',
    data={
        'train_dataloader.num_workers': 1, 'val_dataloader.num_workers': 1, 'test_dataloader.num_workers': 1},
    options={'schedule.val_interval': 20},
    teachers=[dict(
        name='R34',
        cfg='configs/teachers/unet-r34-w25_1xb8-100e_camvid-160x224.py',
        options={
            'train_cfg.max_epochs': 60, 'param_scheduler.0.total_steps': 60, 'param_scheduler.1.total_steps': 60})],
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
