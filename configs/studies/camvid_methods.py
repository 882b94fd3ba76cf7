# The segmentation methods on all images of CamVid, alone and after SKD's stages, at the compute of pixel KD.
# camvid_methods_selection.py selects `weights`.
_base_ = './_base_/camvid_methods.py'
weights = {}  # name of a method: the selected factor of its published weight
study = dict(
    title='CamVid, all training images: U-Net R34 → R10 at a quarter of the width',
    seeds=[0, 1, 2],
    fractions=[1.0],
    baseline='pixel KD',
    equal_compute='pixel KD',
    options={'schedule.val_interval': 5, **_base_.fast},
    methods=[
        dict(
            name='pixel KD',
            cfg=f'{_base_.folder}/kd_{_base_.networks}',
            epochs=24,
            options={'model.spots.0.weight': weights.get('pixel KD', 1)}),
        dict(name='no teacher', cfg=f'configs/baselines/camvid/no-teacher_{_base_.networks[len("unet-r34-w25_"):]}'),
        dict(name='SKD', cfg=f'configs/skd/camvid/skd_{_base_.networks}'),
        *(dict(
            name=name,
            cfg=f'{_base_.folder}/{config}_{_base_.networks}',
            options={f'model.spots.{spot}.weight': weight * weights.get(name, 1)})
          for name, (config, spot, weight) in _base_.methods.items() if name != 'pixel KD'),
        *(dict(
            name=f'SKD, then {name}',
            cfg=f'{_base_.folder}/stagewise-{config}_{_base_.networks}',
            options={f'model.spots.{10 + spot}.weight': weight * weights.get(name, 1)})
          for name, (config, spot, weight) in _base_.methods.items()),
    ])
