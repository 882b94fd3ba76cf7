# 36 labelled images, and all 367 without their labels. The teacher was trained on all 367 labels.
_base_ = './_base_/camvid_few_labels.py'
study = dict(
    title='CamVid, 36 labelled and 367 unlabelled images: U-Net R34 → R10 at a quarter of the width',
    seeds=[0, 1, 2, 3, 4],
    fractions=[0.1],
    baseline='simultaneous, no labels',
    equal_compute=dict(
        reference='few labels', methods=['no teacher', 'simultaneous', 'simultaneous, no labels']),
    teachers=[_base_.teacher],
    options=_base_.fast,
    methods=[
        dict(name='no teacher', cfg=_base_.no_teacher, options={'schedule.val_interval': 20}),
        dict(name='simultaneous', cfg=_base_.simultaneous, options={'schedule.val_interval': 20}),
        dict(name='simultaneous, no labels', cfg=_base_.simultaneous_unlabelled),
        dict(name='few labels', cfg=_base_.few_labels, options={'schedule.cache': 2}),
    ])
