# Pixel KD and IFVD, for U-Nets. Features are compared at an eighth of the resolution.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(name='ifvd', student='decode_head.blocks.1', weight=20, loss=dict(type='IFVDLoss')),
    ])
