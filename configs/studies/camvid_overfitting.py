# What helps phases that overfit 36 images, chosen on the validation split.
_base_ = './_base_/camvid_few_labels.py'
skd = 'configs/skd/camvid/skd_' + _base_.networks.format(150)
augmented = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(224, 160), ratio_range=(1.0, 1.5), keep_ratio=False),
    dict(type='RandomCrop', crop_size=(160, 224)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')
]
study = dict(
    title='CamVid, 10 % of the training images: phases that overfit, on the validation split',
    seeds=[0, 1, 2],
    fractions=[0.1],
    split='val',
    baseline='SKD',
    teachers=[_base_.teacher],
    options={
        'schedule.phase_epochs': 100, 'schedule.val_interval': 10, 'schedule.cache': 2, **_base_.fast},
    methods=[
        dict(name='SKD', cfg=skd),
        dict(
            name='early stopping',
            cfg=skd,
            options={
                'custom_hooks': [
                    dict(type='EarlyStoppingHook', monitor='spot_loss', rule='less', patience=3, strict=False)
                ]
            }),
        dict(name='weight decay 1e-3', cfg=skd, options={'optim_wrapper.optimizer.weight_decay': 1e-3}),
        dict(
            name='augmentation, 4 views in the cache',
            cfg=skd,
            options={
                'schedule.cache': dict(_delete_=True, memory=2, views=4),
                'train_dataloader.dataset.pipeline': augmented
            }),
        dict(
            name='augmentation, no cache',
            cfg=skd,
            options={'schedule.cache': 0, 'train_dataloader.dataset.pipeline': augmented}),
    ])
