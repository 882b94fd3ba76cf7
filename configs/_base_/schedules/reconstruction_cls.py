# reconstruction.py for classifiers.
_base_ = './phases_cls.py'
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, weight_decay=0.))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, eta_min=0., T_max='phase')]
