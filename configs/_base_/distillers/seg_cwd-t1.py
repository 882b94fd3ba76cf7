# CWD at the logits, MMRazor's setting.
distiller = dict(
    spots=[
        dict(name='cwd', student='decode_head.conv_seg', weight=5, loss=dict(type='CWDLoss', temperature=1)),
    ])
