# MGD at the end of the backbone and CWD at the logits. 168 is the authors' weight of the sum, 2e-5, times the 2048 × 64 ×
# 64 values of their crops; as a weight of the mean it suits other crops, too. For other features, select the weight: it is
# far too large for small U-Nets, see docs/segmentation_methods.md.
distiller = dict(
    spots=[
        dict(name='mgd', backbone_stage=-1, connector=dict(type='MaskedGenerator'), weight=168),
        dict(name='cwd', student='decode_head.conv_seg', weight=3, loss=dict(type='CWDLoss', temperature=4)),
    ])
