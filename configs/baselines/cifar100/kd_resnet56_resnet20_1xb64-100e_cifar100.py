# .8 T^2 KL + .2 CE with T = 20, whole student at once.
_base_ = '../../skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py'
model = dict(spots=[dict(student='head.fc', loss=dict(type='KDLoss', temperature=20))])
schedule = dict(type='Simultaneous', spots={'head.fc': 0.8}, task=0.2, average=False)
