# SKDS for heads at a quarter of the resolution: the pair-wise term has as many nodes as at an eighth.
_base_ = './seg_skds.py'
distiller = dict(
    spots=[
        _base_.distiller.spots[0],
        dict(_base_.distiller.spots[1], loss=dict(type='SKDSPairwiseLoss', pool=4, detach_norm=False)),
    ])
