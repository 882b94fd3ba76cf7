# SP at the last stage; β = 3000, γ = 1.
_base_ = './kd.py'
distiller = dict(
    spots=[
        dict(name='similarity', backbone_stage=-1, loss=dict(type='SPLoss'), weight=3000),
        _base_.logits
    ],
    gamma=1)
