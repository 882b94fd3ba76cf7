# CWD at the logits at T = 1, with the weight that is in use for ADE20K.
distiller = dict(
    spots=[
        dict(name='cwd', student='decode_head.conv_seg', weight=10, loss=dict(type='CWDLoss', temperature=1)),
    ])
