# MGD for backbones whose last stage returns tokens.
_base_ = './seg_mgd.py'
distiller = dict(
    spots=[
        dict(
            _base_.distiller.spots[0],
            connector=[dict(type='TokensToMap'), dict(type='MaskedGenerator')],
            teacher_connector=dict(type='TokensToMap')),
        _base_.distiller.spots[1],
    ])
