# What studies of the segmentation methods on CamVid share: U-Nets of a quarter of the width at 160x224, weights of the
# methods as published, except for MGD's, which does not suit such networks. The lengths are those of the whole run, except
# for SKD's phases. Compute is that of the networks and connectors; losses and discriminators are not counted, see
# docs/segmentation_methods.md for their times.
_base_ = './camvid.py'
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
study = dict(teachers=[_base_.teacher])
