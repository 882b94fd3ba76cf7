# SKDS with a discriminator for logits of 45 × 45, which has one layer less.
_base_ = './seg_skds.py'
distiller = dict(
    spots=[
        dict(_base_.distiller.spots[0], discriminator=dict(type='HolisticDiscriminator', depth=3)),
        _base_.distiller.spots[1],
    ])
