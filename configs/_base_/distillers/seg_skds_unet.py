# SKDS with a narrow discriminator, for U-Nets. Features are compared at an eighth of the resolution.
distiller = dict(
    spots=[
        dict(
            name='kd',
            student='decode_head.conv_seg',
            loss=dict(type='KDLoss', temperature=1, ignore_index=None),
            discriminator=dict(type='HolisticDiscriminator', channels=16)),
        dict(
            name='pairwise', student='decode_head.blocks.1', weight=10,
            loss=dict(type='SKDSPairwiseLoss', pool=2, detach_norm=False)),
    ])
