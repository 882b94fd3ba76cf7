# A shorter study with smaller images, for a single core.
_base_ = './camvid_quantisation.py'
study = dict(
    title='CamVid at 96x128, 10 % of the training images: the distilled U-Net R10, quantised',
    data=_base_.small_data,
    options={'schedule.val_interval': 1000},
    teachers=[
        *_base_.small_teachers,
        dict(_base_.pruned, options={'schedule.val_interval': 1000, **_base_.pruned.options})],
    methods=[
        dict(method, epochs=5) if method['name'].endswith('stagewise') else method for method in _base_.study.methods])
