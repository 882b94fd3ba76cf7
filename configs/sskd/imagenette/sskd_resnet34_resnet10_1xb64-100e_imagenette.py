_base_ = '../../skd/imagenette/skd_resnet34_resnet10_1xb64-100e_imagenette.py'
model = dict(spots='backbone')
schedule = dict(type='BackboneFirst')
