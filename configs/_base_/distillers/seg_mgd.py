# MGD at the end of the backbone and CWD at the logits. The weight of the sum is the authors' for crops of 512 × 512,
# halved as these have twice the area.
distiller = dict(
    spots=[
        dict(
            name='mgd',
            student='backbone.layer4',
            connector=dict(type='MaskedGenerator'),
            weight=1e-5,
            loss=dict(type='MSELoss', reduction='sum')),
        dict(name='cwd', student='decode_head.conv_seg', weight=3, loss=dict(type='CWDLoss', temperature=4)),
    ])
