# SKD's spots in a ResNet of four layers: behind the stem and behind each layer, each compared with the teacher's of the
# same name by the mean squared error.
model = dict(
    type='skd_mm.Distiller',
    spots=['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4'])
