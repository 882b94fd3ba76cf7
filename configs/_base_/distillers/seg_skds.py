# SKDS with the weights of CIRKD's code: pixel-wise, pair-wise and, without labels, holistic.
distiller = dict(
    spots=[
        dict(
            name='kd',
            student='decode_head.conv_seg',
            loss=dict(type='KDLoss', temperature=1, ignore_index=None),
            discriminator=dict(type='HolisticDiscriminator')),
        dict(
            name='pairwise', head_feature=True, weight=10,
            loss=dict(type='SKDSPairwiseLoss', pool=2, detach_norm=False)),
    ])
