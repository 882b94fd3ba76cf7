# SKD's spots in a network with three layers for 32x32 images: the stem and each layer, compared with the teacher's
# module of the same name by the mean squared error.
model = dict(
    type='skd_mm.Distiller',
    spots=['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3'])
