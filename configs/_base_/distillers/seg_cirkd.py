# Pixel KD and CIRKD within the batch and with a memory.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(name='batch', student='decode_head.bottleneck', loss=dict(type='CIRKDLoss')),
        dict(
            name='memory',
            student='decode_head.bottleneck',
            connector=dict(type='Projector'),
            memory=dict(type='ClassQueues'),
            loss=dict(type='CIRKDMemoryLoss')),
    ])
