# PKT at the pooled features; β = 30000, γ = 1.
_base_ = './kd.py'
distiller = dict(
    spots=[
        dict(name='neighbours', student='neck[-1]', loss=dict(type='PKTLoss'), weight=30000),
        _base_.logits
    ],
    gamma=1)
