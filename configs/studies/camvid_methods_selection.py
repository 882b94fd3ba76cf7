# Which weights the segmentation methods need on CamVid: three per method, one seed, less than half of the length,
# measured on the validation split. As everywhere, the best checkpoint of a run is that of the same split.
_base_ = './_base_/camvid_methods.py'
study = dict(
    title='CamVid, selection of weights: U-Net R34 → R10 at a quarter of the width',
    seeds=[0],
    fractions=[1.0],
    split='val',
    options={'schedule.val_interval': 5, **_base_.fast},
    methods=[
        dict(
            name=f'{name} × {factor}',
            cfg=f'{_base_.folder}/{config}_{_base_.networks}',
            epochs=10,
            options={f'model.spots.{spot}.weight': weight * factor})
        for name, (config, spot, weight) in _base_.methods.items() for factor in (0.3, 1, 3)
    ])
