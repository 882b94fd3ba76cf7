# .8 T^2 KL + .2 CE with T = 20, whole student at once.
_base_ = '../../sskd/imagenet/sskd_resnet50_mobilenet-v2_8xb32-20e_in1k.py'
model = dict(spots=[dict(student='head.fc', loss=dict(type='KDLoss', temperature=20))])
schedule = dict(type='Simultaneous', spots={'head.fc': 0.8}, task=0.2, average=False, phase_epochs=100)
