_base_ = '../../skd/imagewoof/skd_resnet34_resnet10_1xb64-100e_imagewoof.py'
model = dict(spots='backbone')
schedule = dict(type='BackboneFirst')
