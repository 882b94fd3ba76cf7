# The harder setting: the teacher, too, has the 36 labels only. All trainings have the same 36 images.
_base_ = './_base_/camvid_few_labels.py'
small = 'configs/fewlabels/camvid/no-teacher_unet-r34-w25_1xb8-600e_camvid-160x224.py'
study = dict(
    title='CamVid, 36 labelled images for teacher and students, and 367 unlabelled images for the students',
    seeds=[0, 1, 2],
    fractions=[0.1],
    fraction_seed=0,
    baseline='no teacher',
    equal_compute=dict(reference='few labels', methods=['no teacher', 'simultaneous', 'simultaneous, no labels']),
    teachers=[dict(name='R34, 36 labels', cfg=small)],
    options=_base_.fast,
    methods=[
        dict(name='no teacher', cfg=_base_.no_teacher, options={'schedule.val_interval': 20}),
        dict(
            name='simultaneous',
            cfg=_base_.simultaneous,
            options={'model.teacher.cfg': small, 'schedule.val_interval': 20}),
        dict(
            name='simultaneous, no labels',
            cfg=_base_.simultaneous_unlabelled,
            options={'model.teacher.cfg': small}),
        dict(
            name='few labels',
            cfg='configs/fewlabels/camvid/few-labels-teacher36_' + _base_.networks.format(7),
            options={'schedule.cache': 2}),
    ])
