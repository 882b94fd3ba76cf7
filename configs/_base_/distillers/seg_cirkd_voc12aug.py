# CIRKD with the authors' weights for Pascal VOC.
_base_ = './seg_cirkd.py'
distiller = dict(
    spots=[
        *_base_.distiller.spots[:2],
        dict(_base_.distiller.spots[2], loss=dict(type='CIRKDMemoryLoss', pixel=0.01, region=0.01)),
    ])
