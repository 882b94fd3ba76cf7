_base_ = '../../skd/imagenet/skd_resnet34_resnet18_8xb32-20e_in1k.py'
model = dict(spots='backbone')
schedule = dict(type='BackboneFirst')
