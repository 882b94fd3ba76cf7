# The distilled U-Net-R10, pruned to a half and a quarter of its MACs, recovers on 10 % of the images.
_base_ = './_base_/camvid_compression.py'
configs = 'configs/pruning/camvid/'
study = dict(
    title='CamVid, 10 % of the training images: the distilled U-Net R10, pruned',
    baseline='half: fine-tuning',
    equal_compute=dict(
        reference='half: SKD + polish',
        methods=[f'{share}: {name}' for share in ('half', 'quarter')
                 for name in ('no teacher', 'fine-tuning', 'simultaneous', 'SKD')]),
    options={'schedule.val_interval': 50},
    methods=[
        dict(name='half: no teacher', cfg=configs + 'no-teacher-half' + _base_.unet.format(150)),
        dict(name='half: fine-tuning', cfg=configs + 'fine-tuning-half' + _base_.unet.format(150)),
        dict(name='half: simultaneous', cfg=configs + 'simultaneous-half' + _base_.unet.format(150)),
        dict(name='half: SKD', cfg=configs + 'skd-half' + _base_.unet.format(50), options={'schedule.cache': 2}),
        dict(
            name='half: SKD + polish',
            cfg=configs + 'skd-polish-half' + _base_.unet.format(30),
            options={'schedule.cache': 2}),
        dict(name='quarter: no teacher', cfg=configs + 'no-teacher-quarter' + _base_.unet.format(150)),
        dict(name='quarter: fine-tuning', cfg=configs + 'fine-tuning-quarter' + _base_.unet.format(150)),
        dict(name='quarter: simultaneous', cfg=configs + 'simultaneous-quarter' + _base_.unet.format(150)),
        dict(name='quarter: SKD', cfg=configs + 'skd-quarter' + _base_.unet.format(50), options={'schedule.cache': 2}),
        dict(
            name='quarter: SKD + polish',
            cfg=configs + 'skd-polish-quarter' + _base_.unet.format(30),
            options={'schedule.phase_epochs': 40, 'schedule.polish.epochs': 67, 'schedule.cache': 2}),
    ])
