# All stages at the same time on the teacher's features, against one after the other, with 36 labels; the teacher had 367.
# Without a cache both take the same training compute: 29 epochs for all stages, or 7 for each of ten.
_base_ = './_base_/camvid_few_labels.py'
study = dict(
    title='CamVid, 36 labelled and 367 unlabelled images: stages in parallel and one after the other',
    seeds=[0, 1, 2],
    fractions=[0.1],
    baseline='few labels',
    teachers=[_base_.teacher],
    methods=[
        dict(name='few labels', cfg=_base_.few_labels, options={'schedule.cache': 2}),
        dict(
            name='stages in parallel', cfg='configs/fewlabels/camvid/parallel_' + _base_.networks.format(29)),
    ])
