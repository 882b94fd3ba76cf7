_base_ = ['../_base_/models/unet_resnet.py', './_base_/street_scenes.py', '../_base_/default_runtime.py']
model = dict(
    data_preprocessor=_base_.normalisation,
    backbone=dict(depth=10, width=0.25),
    decode_head=dict(num_classes=11, width=0.25))
