# SKD's spots in a network for 32x32 images of three layers: behind the stem and behind each layer, each compared with
# the teacher's of the same name by the mean squared error.
model = dict(
    type='skd_mm.Distiller',
    spots=['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3'])
