# phases.py for detectors: AdamW with OneCycle in each phase.
_base_ = '../default_runtime_det.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-4, weight_decay=0.01),
    clip_grad=dict(max_norm=10))
param_scheduler = [dict(type='OneCycleLR', eta_max=2e-3, pct_start=0.2, by_epoch=False)]
train_cfg = dict(type='skd_mm.PhaseLoop')
default_hooks = dict(
    checkpoint=dict(_delete_=True, type='skd_mm.PhaseCheckpointHook', save_best='coco/bbox_mAP'))
log_processor = dict(_delete_=True, type='skd_mm.PhaseLogProcessor')
