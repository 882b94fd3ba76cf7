# SAKD on CIFAR-100: one phase of 240 epochs; half the learning rate and twice the decay for policy and adapters.
_base_ = './phases_cls.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys={'router': dict(lr_mult=0.5, decay_mult=2)}))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[150, 180, 210], gamma=0.1)
auto_scale_lr = dict(base_batch_size=64)
schedule = dict(type='Simultaneous', average=False, phase_epochs=240, val_interval=5)
