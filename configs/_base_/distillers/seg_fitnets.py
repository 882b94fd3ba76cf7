# Pixel KD and FitNets at the head's last feature, as in CIRKD's code.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(
            name='fitnets', head_feature=True, connector=dict(type='Conv1x1', bias=False), weight=10,
            loss=dict(type='MSELoss')),
    ])
