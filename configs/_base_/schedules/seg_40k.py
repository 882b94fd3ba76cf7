# CIRKD's schedule: 40,000 iterations with 16 images each, lr 0.02, weight decay 1e-4, poly.
_base_ = './seg_80k.py'
optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=0.0001))
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, by_epoch=False)]
schedule = dict(phase_iters=40000, val_interval=4000)
