# DIST at the logits alone, for networks without an auxiliary head that is comparable to those of the papers.
distiller = dict(
    spots=[
        dict(name='dist', student='decode_head.conv_seg', loss=dict(type='DISTLoss')),
    ])
