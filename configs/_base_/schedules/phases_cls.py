# phases.py for classifiers, without an optimizer.
_base_ = '../default_runtime_cls.py'
train_cfg = dict(type='skd_mm.PhaseLoop')
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(_delete_=True, type='skd_mm.PhaseCheckpointHook', save_best='accuracy/top1'))
log_processor = dict(_delete_=True, type='skd_mm.PhaseLogProcessor')
