_base_ = ['./student.py', '../_base_/schedules/adam_onecycle.py']
model = dict(backbone=dict(depth=34))
epochs = 36
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=6)
cycle = dict(by_epoch=True, convert_to_iter_based=True, total_steps=epochs)
param_scheduler = [dict(scheduler, **cycle) for scheduler in _base_.param_scheduler]
