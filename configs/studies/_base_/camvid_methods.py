# What studies of the segmentation methods on CamVid share: U-Nets of a quarter of the width at 160x224, weights of the
# methods as published, except for MGD's, which does not suit such networks. The lengths are those of the whole run, except
# for SKD's phases. Compute is that of the networks and connectors; losses and discriminators are not counted, see
# docs/segmentation_methods.md for their times.
folder = 'configs/segmentation/camvid'
networks = 'unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
methods = {  # name: config, the spot whose weight is selected, its weight
    'pixel KD': ('kd', 0, 1),
    'FitNets': ('fitnets', 1, 10),
    'PKD': ('pkd', 1, 5),
    'CWD': ('cwd', 0, 3),
    'CWD, T = 1': ('cwd-t1', 0, 5),
    'DIST': ('dist', 0, 1),
    'SKDS': ('skds', 1, 10),
    'IFVD': ('ifvd', 1, 20),
    'MGD': ('mgd', 0, 1),
    'BPKD': ('bpkd', 0, 1),
    'CIRKD': ('cirkd', 1, 1),
    'Af-DCD': ('af-dcd', 1, 1)
}
# Half precision and channels last halve the time of a training on a CPU. The teacher is trained in single precision.
fast = {'model.channels_last': True, 'optim_wrapper.type': 'skd_mm.AmpOptimWrapper'}
study = dict(
    metric='mIoU',
    data={
        'train_dataloader.num_workers': 1,
        'val_dataloader.num_workers': 1,
        'test_dataloader.num_workers': 1
    },
    teachers=[
        dict(
            name='R34',
            cfg='configs/teachers/unet-r34-w25_1xb8-100e_camvid-160x224.py',
            options={
                'train_cfg.max_epochs': 60,
                'param_scheduler.0.total_steps': 60,
                'param_scheduler.1.total_steps': 60
            })
    ])
