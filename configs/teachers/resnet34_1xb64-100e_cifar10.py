# SKD gives Adam for its phases and says nothing of the teacher: the same is used.
_base_ = [
    '../_base_/models/resnet_concat-pool.py', '../_base_/datasets/cifar10.py',
    '../_base_/schedules/adam_constant.py', '../_base_/default_runtime_cls.py'
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
