# Which learning rate each recovery of the pruned U-Net R10 needs, on the validation split.
_base_ = './camvid_pruning_small.py'
configs = 'configs/pruning/camvid/'
study = dict(
    title='CamVid at 96x128, selection of learning rates: the distilled U-Net R10, pruned to half of its MACs',
    seeds=[0],
    split='val',
    baseline='SKD, 0.01',
    equal_compute=dict(
        _delete_=True,
        reference='SKD + polish, 0.01',
        methods=[f'{name}, {lr}' for name in ('fine-tuning', 'simultaneous', 'SKD') for lr in (0.003, 0.01, 0.03)]),
    methods=[
        dict(name=f'{name}, {lr}', cfg=configs + cfg, options={'optim_wrapper.optimizer.lr': lr, **options})
        for name, cfg, options in (
            ('fine-tuning', 'fine-tuning-half' + _base_.unet.format(150), {}),
            ('simultaneous', 'simultaneous-half' + _base_.unet.format(150), {}),
            ('SKD', 'skd-half' + _base_.unet.format(50), {'schedule.cache': 2}),
            ('SKD + polish', 'skd-polish-half' + _base_.unet.format(30), {'schedule.cache': 2}))
        for lr in (0.003, 0.01, 0.03)
    ])
