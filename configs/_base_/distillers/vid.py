# VID at all stages; β = 1, γ = 2.
_base_ = './kd.py'
pool = dict(type='PoolToSmaller')
distiller = dict(
    spots=[
        dict(
            backbone_stage='all', loss=dict(type='VIDLoss'),
            connector=[pool, dict(type='VarianceHead')], teacher_connector=pool),
        _base_.logits
    ],
    gamma=2)
