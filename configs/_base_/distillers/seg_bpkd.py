# BPKD, a reconstruction.
distiller = dict(
    spots=[
        dict(name='bpkd', student='decode_head.conv_seg', loss=dict(type='BPKDLoss')),
    ])
