# Pixel KD and IFVD with the weights of CIRKD's code, without its discriminator.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(name='ifvd', head_feature=True, weight=20, loss=dict(type='IFVDLoss')),
    ])
