# Common to all schedules of phases; the phases themselves are in each config's `schedule`. Every phase gets a new
# optimizer and a new cycle, as long as the phase.
_base_ = ['./adam_onecycle.py', '../default_runtime.py']
train_cfg = dict(type='skd_mm.PhaseLoop')
default_hooks = dict(checkpoint=dict(_delete_=True, type='skd_mm.PhaseCheckpointHook', save_best='mIoU'))
log_processor = dict(_delete_=True, type='skd_mm.PhaseLogProcessor')
