# What the last phase without labels compares, chosen on the validation split.
_base_ = './_base_/camvid_few_labels.py'
study = dict(
    title='CamVid, 36 labelled and 367 unlabelled images: what the last phase compares, on the validation split',
    seeds=[0, 1, 2],
    fractions=[0.1],
    split='val',
    baseline='spots and logits',
    teachers=[_base_.teacher],
    options={'schedule.cache': 2, **_base_.fast},
    methods=[
        dict(name='spots and logits', cfg=_base_.few_labels),
        dict(name='logits', cfg=_base_.few_labels, options={'schedule.polish.spots': []}),
        dict(name='spots', cfg=_base_.few_labels, options={'schedule.polish.logits': 0}),
        dict(
            name='spots and DIST',
            cfg=_base_.few_labels,
            options={'model.spots.10.loss': dict(_delete_=True, type='DISTLoss')}),
        dict(
            name='spots and CWD',
            cfg=_base_.few_labels,
            options={'model.spots.10.loss': dict(_delete_=True, type='CWDLoss')}),
        dict(
            name='spots, logits and task',
            cfg=_base_.few_labels,
            options={'schedule.polish.task': 1, 'schedule.polish.data': 'both'}),
    ])
