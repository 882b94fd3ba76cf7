# Pixel KD and CIRKD within the batch and with a memory.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(name='batch', head_feature=True, loss=dict(type='CIRKDLoss')),
        dict(
            name='memory',
            head_feature=True,
            connector=dict(type='Projector'),
            memory=dict(type='ClassQueues'),
            loss=dict(type='CIRKDMemoryLoss')),
    ])
