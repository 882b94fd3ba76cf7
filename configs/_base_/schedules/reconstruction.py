# Phases of a network that reproduces another one from which it was made by quantisation or pruning: it starts near its
# goal, so Adam's learning rate is small, and falls to zero in every phase.
_base_ = './phases.py'
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, eta_min=0., T_max='phase')]
