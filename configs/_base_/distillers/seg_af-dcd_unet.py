# Pixel KD and Af-DCD, for U-Nets. Features are compared at an eighth of the resolution.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(
            name='af-dcd',
            student='decode_head.blocks.1',
            connector=dict(type='MaskedGenerator'),
            loss=dict(type='AfDCDLoss', pool=1)),
    ])
