# Pixel KD and FitNets, for U-Nets. Features are compared at an eighth of the resolution.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(
            name='fitnets', student='decode_head.blocks.1', connector=dict(type='Conv1x1', bias=False), weight=10,
            loss=dict(type='MSELoss')),
    ])
