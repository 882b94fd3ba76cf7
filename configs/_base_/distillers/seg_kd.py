# Pixel KD as segmentation papers have it: T = 1, all pixels.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
    ])
