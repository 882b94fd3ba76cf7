# SGD as in CRD and SAKD on CIFAR-100, where MobileNetV2 and the ShuffleNets use lr=0.01.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[150, 180, 210], gamma=0.1)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=240, val_interval=1)
auto_scale_lr = dict(base_batch_size=64)
