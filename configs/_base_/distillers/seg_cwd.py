# CWD at the logits, the authors' setting.
distiller = dict(
    spots=[
        dict(name='cwd', student='decode_head.conv_seg', weight=3, loss=dict(type='CWDLoss', temperature=4)),
    ])
