# Af-DCD with the authors' weights for ADE20K. The weight of pixel KD is 0.5.
_base_ = './seg_af-dcd.py'
distiller = dict(
    spots=[
        dict(_base_.distiller.spots[0], weight=0.5),
        dict(_base_.distiller.spots[1], loss=dict(type='AfDCDLoss', feature=1e-6, contrast=0.04)),
    ])
