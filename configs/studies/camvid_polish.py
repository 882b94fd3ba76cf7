# A last phase that trains the whole student, from SKD's weights, against everything at once.
_base_ = './_base_/camvid_few_labels.py'
study = dict(
    title='CamVid, 10 % of the training images: SKD with a last phase end to end',
    seeds=[0, 1, 2, 3, 4],
    fractions=[0.1],
    baseline='simultaneous',
    equal_compute=dict(reference='SKD + polish', methods=['no teacher', 'simultaneous', 'SKD']),
    options={'schedule.val_interval': 10, **_base_.fast},
    teachers=[_base_.teacher],
    methods=[
        dict(name='no teacher', cfg=_base_.no_teacher),
        dict(name='simultaneous', cfg=_base_.simultaneous),
        dict(name='SKD', cfg='configs/skd/camvid/skd_' + _base_.networks.format(150), options={'schedule.cache': 2}),
        dict(
            name='SKD + polish',
            cfg='configs/fewlabels/camvid/skd-polish_' + _base_.networks.format(70),
            options={'schedule.cache': 2}),
    ])
