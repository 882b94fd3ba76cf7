# What studies with few labels of CamVid share: U-Nets on ResNet-34 and ResNet-10 of a quarter of the width, 160x224.
networks = 'unet-r34-w25_unet-r10-w25_1xb8-{}e_camvid-160x224.py'
no_teacher = 'configs/baselines/camvid/no-teacher_unet-r10-w25_1xb8-150e_camvid-160x224.py'
simultaneous = 'configs/baselines/camvid/simultaneous_' + networks.format(150)
simultaneous_unlabelled = 'configs/fewlabels/camvid/simultaneous-unlabelled_' + networks.format(39)
few_labels = 'configs/fewlabels/camvid/few-labels_' + networks.format(7)
# Half precision and channels last halve the time of a training on a CPU. The teacher is trained in single precision.
fast = {'model.channels_last': True, 'optim_wrapper.type': 'skd_mm.AmpOptimWrapper'}
study = dict(
    metric='mIoU',
    split='test',
    data={
        'train_dataloader.num_workers': 1, 'val_dataloader.num_workers': 1, 'test_dataloader.num_workers': 1})
# A teacher that was trained on all 367 labels.
teacher = dict(
    name='R34',
    cfg='configs/teachers/unet-r34-w25_1xb8-100e_camvid-160x224.py',
    options={'train_cfg.max_epochs': 60, 'param_scheduler.0.total_steps': 60, 'param_scheduler.1.total_steps': 60})
