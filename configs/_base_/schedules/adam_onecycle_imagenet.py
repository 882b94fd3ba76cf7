# The same on ImageNet, with batch size 256: lr 4e-5 -> 1e-3 -> 4e-9. Our choice; not run.
_base_ = './adam_onecycle.py'
param_scheduler = [dict(_base_.param_scheduler[0], eta_max=1e-3), _base_.param_scheduler[1]]
auto_scale_lr = dict(base_batch_size=256)
