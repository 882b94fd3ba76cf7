# mmsegmentation's schedule of 80,000 iterations for a student with a teacher: SGD, lr 0.01, weight decay 5e-4, poly.
_base_ = '../default_runtime.py'
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005))
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, by_epoch=False)]
schedule = dict(type='Simultaneous', average=False, phase_iters=80000, val_interval=8000)
train_cfg = dict(type='skd_mm.PhaseLoop')
default_hooks = dict(checkpoint=dict(_delete_=True, type='skd_mm.PhaseCheckpointHook', save_best='mIoU'))
log_processor = dict(_delete_=True, type='skd_mm.PhaseLogProcessor')
