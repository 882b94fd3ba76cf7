# Af-DCD for backbones whose last stage has a 32nd of the resolution, that of the papers' features after their pooling.
_base_ = './seg_af-dcd.py'
distiller = dict(
    spots=[
        _base_.distiller.spots[0],
        dict(_base_.distiller.spots[1], loss=dict(type='AfDCDLoss', pool=1)),
    ])
