# Pixel KD and Af-DCD at the end of the backbone, with the authors' weights for Cityscapes.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(
            name='af-dcd', backbone_stage=-1, connector=dict(type='MaskedGenerator'), loss=dict(type='AfDCDLoss')),
    ])
