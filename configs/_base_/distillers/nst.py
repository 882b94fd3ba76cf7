# NST at all stages; β = 50, γ = 1.
_base_ = './kd.py'
pool = dict(type='PoolToSmaller')
distiller = dict(
    spots=[
        dict(backbone_stage='all', loss=dict(type='NSTLoss'), connector=pool, teacher_connector=pool, weight=50),
        _base_.logits
    ],
    gamma=1)
