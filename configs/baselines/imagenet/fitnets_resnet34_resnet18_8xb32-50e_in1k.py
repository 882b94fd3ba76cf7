# First everything up to layer2 on the MSE there; then the rest on the cross-entropy.
_base_ = '../../skd/imagenet/skd_resnet34_resnet18_8xb32-20e_in1k.py'
schedule = dict(type='FitNets', hints='backbone.layer2', phase_epochs=50)
