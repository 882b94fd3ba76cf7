# DIST at the logits and at those of the auxiliary head.
distiller = dict(
    spots=[
        dict(name='dist', student='decode_head.conv_seg', loss=dict(type='DISTLoss')),
        dict(name='dist-aux', student='auxiliary_head.conv_seg', weight=0.4, loss=dict(type='DISTLoss')),
    ])
