# Af-DCD with the authors' weights for Pascal VOC; there are none for Context.
_base_ = './seg_af-dcd.py'
distiller = dict(
    spots=[
        _base_.distiller.spots[0],
        dict(_base_.distiller.spots[1], loss=dict(type='AfDCDLoss', feature=1e-6)),
    ])
