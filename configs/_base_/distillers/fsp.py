# FSP between consecutive stages, for networks with the same numbers of channels. Not in SAKD's table: β and γ are ours.
_base_ = './kd.py'
distiller = dict(
    spots=[
        dict(name='flow', backbone_stage='consecutive', loss=dict(type='FSPLoss')),
        _base_.logits
    ],
    gamma=1)
