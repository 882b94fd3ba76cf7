# Af-DCD for backbones whose last stage returns tokens at a 32nd of the resolution.
_base_ = './seg_af-dcd_stride32.py'
distiller = dict(
    spots=[
        _base_.distiller.spots[0],
        dict(
            _base_.distiller.spots[1],
            connector=[dict(type='TokensToMap'), dict(type='MaskedGenerator')],
            teacher_connector=dict(type='TokensToMap')),
    ])
