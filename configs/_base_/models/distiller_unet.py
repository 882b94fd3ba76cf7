# The ten spots of SKD for segmentation: the encoder's five features and the decoder's five blocks, compared with the
# teacher's modules of the same names by the mean squared error.
model = dict(
    type='skd_mm.Distiller',
    spots=[
        'backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4',
        'decode_head.blocks.0', 'decode_head.blocks.1', 'decode_head.blocks.2', 'decode_head.blocks.3',
        'decode_head.blocks.4'
    ])
