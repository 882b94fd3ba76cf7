# Pixel KD and PKD at the head's last feature. There is no published weight for segmentation.
distiller = dict(
    spots=[
        dict(name='kd', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None)),
        dict(
            name='pkd', head_feature=True, connector=dict(type='Conv1x1'), weight=5,
            loss=dict(type='PKDLoss')),
    ])
