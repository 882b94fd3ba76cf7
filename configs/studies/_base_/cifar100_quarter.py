# What studies on a quarter of CIFAR-100 share: 12,500 training images in SKD_MM_DATA, of which 2,500 select checkpoints
# and settings, so that the test images do neither.
held_out = dict(split='train', indices=-2500, check_md5=False)
study = dict(
    seeds=[0, 1, 2],
    metric='accuracy/top1',
    options={'model.channels_last': True},
    data={
        'train_dataloader.dataset.check_md5': False,
        'train_dataloader.dataset.indices': 10000,
        'val_dataloader.dataset': held_out,
        'test_dataloader.dataset.check_md5': False,
        'train_dataloader.num_workers': 1,
        'val_dataloader.num_workers': 1,
        'test_dataloader.num_workers': 1,
        'optim_wrapper.type': 'skd_mm.AmpOptimWrapper',
    })
# A teacher of the pair, cut short.
resnet56 = dict(
    name='resnet56',
    cfg='configs/teachers/resnet56_1xb64-240e_cifar100.py',
    options={'train_cfg.max_epochs': 24, 'train_cfg.val_interval': 4, 'param_scheduler.milestones': [14, 19, 22]})
