# A shorter study with smaller images, for a single core.
_base_ = './camvid_pruning.py'
study = dict(
    title='CamVid at 96x128, 10 % of the training images: the distilled U-Net R10, pruned',
    data=_base_.small_data,
    options={'schedule.val_interval': 1000},
    teachers=_base_.small_teachers)
