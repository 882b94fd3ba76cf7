# A quarter of the MACs. The stages have fewer channels, too, which connectors map to those of the network before.
_base_ = './skd-half_unet-r10-w25_1xb8-50e_camvid-160x224.py'
model = dict(
    student=dict(transform=dict(macs=0.25, keep=[])),
    spots=[dict(student=spot, connector='auto') for spot in _base_.model.spots])
