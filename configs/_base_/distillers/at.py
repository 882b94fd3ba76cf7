# AT at all stages; β = 1000, γ = 2.
_base_ = './kd.py'
pool = dict(type='PoolToSmaller')
distiller = dict(
    spots=[
        dict(backbone_stage='all', loss=dict(type='ATLoss'), connector=pool, teacher_connector=pool, weight=1000),
        _base_.logits
    ],
    gamma=2)
