# RKD at the pooled features; β = 1, γ = 2.
_base_ = './kd.py'
distiller = dict(
    spots=[
        dict(name='relations', student='neck[-1]', loss=dict(type='RKDLoss')),
        _base_.logits
    ],
    gamma=2)
