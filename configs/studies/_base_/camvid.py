# What studies on CamVid at 160x224 share.
study = dict(
    metric='mIoU',
    data={'train_dataloader.num_workers': 1, 'val_dataloader.num_workers': 1, 'test_dataloader.num_workers': 1})
# A U-Net on ResNet-34 of a quarter of the width, trained on all 367 labels in single precision.
teacher = dict(
    name='R34',
    cfg='configs/teachers/unet-r34-w25_1xb8-100e_camvid-160x224.py',
    options={'train_cfg.max_epochs': 60, 'param_scheduler.0.total_steps': 60, 'param_scheduler.1.total_steps': 60})
# Options of students: half precision and channels last halve the time of a training on a CPU.
fast = {'model.channels_last': True, 'optim_wrapper.type': 'skd_mm.AmpOptimWrapper'}
