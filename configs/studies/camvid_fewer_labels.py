# 18 and 9 labelled images, and all 367 without their labels. All heads are trained for as many iterations as with 36.
_base_ = './_base_/camvid_few_labels.py'
study = dict(
    title='CamVid, 18 and 9 labelled and 367 unlabelled images: U-Net R34 → R10 at a quarter of the width',
    seeds=[0, 1, 2],
    fractions=[0.05, 0.025],
    baseline='simultaneous, no labels',
    equal_compute=dict(reference='few labels', methods=['no teacher', 'simultaneous', 'simultaneous, no labels']),
    teachers=[_base_.teacher],
    options=_base_.fast,
    methods=[
        dict(name='no teacher', cfg=_base_.no_teacher, options={'schedule.val_interval': 40}),
        dict(name='simultaneous', cfg=_base_.simultaneous, options={'schedule.val_interval': 40}),
        dict(name='simultaneous, no labels', cfg=_base_.simultaneous_unlabelled),
        dict(
            name='few labels',
            cfg=_base_.few_labels,
            options={
                'schedule.cache': 2, 'schedule.head': dict(_delete_=True, iters=280, val_interval=40)}),
    ])
