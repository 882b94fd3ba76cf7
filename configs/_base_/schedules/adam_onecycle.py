# Adam with OneCycle stepped every iteration: lr 4e-4 -> 1e-2 -> 4e-8, beta1 .95 -> .85 -> .95 (SKD on CamVid).
# The length of the cycle is filled in by the phase loop, or set in a plain config.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-4, weight_decay=0.))
param_scheduler = [
    dict(type='OneCycleLR', eta_max=1e-2, pct_start=0.3, by_epoch=False),
    dict(type='skd_mm.OneCycleMomentum', base_momentum=0.85, max_momentum=0.95, pct_start=0.3, by_epoch=False),
]
