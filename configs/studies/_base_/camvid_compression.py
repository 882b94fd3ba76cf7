# What studies of pruning and quantisation on CamVid share: the U-Net on ResNet-10 that the one on ResNet-34 has taught.
_base_ = './camvid.py'
unet = '_unet-r10-w25_1xb8-{}e_camvid-160x224.py'
distilled = dict(
    name='distilled R10',
    cfg='configs/skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py',
    options={'schedule.phase_epochs': 100, 'schedule.cache': 2})
study = dict(
    seeds=[0, 1, 2],
    fractions=[0.1],
    teachers=[_base_.teacher, distilled])
# The same at an eighth of the pixels and a fraction of the length, for a single core.
small_data = {
    **_base_.study.data,
    **{f'{part}_dataloader.dataset.pipeline.{step}.scale': (128, 96)
       for part, step in (('train', 2), ('val', 1), ('test', 1))}}
small_teachers = [
    dict(_base_.teacher, options={
        'train_cfg.max_epochs': 20, 'train_cfg.val_interval': 10, 'param_scheduler.0.total_steps': 20,
        'param_scheduler.1.total_steps': 20}),
    dict(distilled, options={'schedule.phase_epochs': 150, 'schedule.val_interval': 50, 'schedule.cache': 2})]
