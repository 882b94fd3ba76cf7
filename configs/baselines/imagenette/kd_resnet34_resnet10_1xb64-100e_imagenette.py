# .8 T^2 KL + .2 CE with T = 20, whole student at once.
_base_ = '../../skd/imagenette/skd_resnet34_resnet10_1xb64-100e_imagenette.py'
model = dict(spots=[dict(student='head.fc', loss=dict(type='KDLoss', temperature=20))])
schedule = dict(type='Simultaneous', spots={'head.fc': 0.8}, task=0.2, average=False)
