# DIST at the logits; there is no auxiliary head, for U-Nets.
distiller = dict(
    spots=[
        dict(name='dist', student='decode_head.conv_seg', loss=dict(type='DISTLoss')),
    ])
