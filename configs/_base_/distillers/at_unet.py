# AT at the encoder's five features, all of which the decoder reads, and KD at the logits of every pixel.
_base_ = './at.py'
encoder = ['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4']
distiller = dict(
    spots=[
        _base_.distiller.spots[0],
        dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=4))
    ])
# Merged into the model of a config with two U-Nets.
routed = dict(
    teacher=dict(backbone_stages=encoder),
    student=dict(backbone_stages=encoder),
    router=dict(gate='policy', teacher_bias=10, gamma=_base_.distiller.gamma))
