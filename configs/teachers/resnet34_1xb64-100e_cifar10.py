# SKD specifies Adam for its phases and nothing for the teacher, so the teacher uses it, too.
_base_ = [
    '../_base_/models/resnet_concat-pool.py', '../_base_/datasets/cifar10.py',
    '../_base_/schedules/adam_constant.py', '../_base_/default_runtime_cls.py'
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
