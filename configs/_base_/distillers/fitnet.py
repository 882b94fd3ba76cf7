# FitNet: a regressor from the student's second stage to the teacher's; β = 1, γ = 1.
_base_ = './kd.py'
distiller = dict(
    spots=[
        dict(name='hint', backbone_stage=2, connector=dict(type='ConvReg')),
        _base_.logits
    ],
    gamma=1)
