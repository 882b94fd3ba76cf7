# Pixel KD and CIRKD, for U-Nets. Features are compared at an eighth of the resolution.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(name='batch', student='decode_head.blocks.1', loss=dict(type='CIRKDLoss')),
        dict(
            name='memory',
            student='decode_head.blocks.1',
            connector=dict(type='Projector'),
            memory=dict(type='ClassQueues', pixel_slots=2000),
            loss=dict(type='CIRKDMemoryLoss')),
    ])
