# A quarter of the MACs. The stages have fewer channels, too, which connectors map to those of the network before.
_base_ = './skd-half_resnet20_1xb64-20e_cifar100.py'
model = dict(
    student=dict(transform=dict(macs=0.25, keep=[])),
    spots=[dict(student=spot, connector=dict(type='RestoreChannels')) for spot in _base_.model.spots])
