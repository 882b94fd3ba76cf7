# SKD's classifier: an ImageNet-style ResNet, max- and average-pooling side by side, and a hidden layer of 256.
_base_ = './classifier.py'
model = dict(
    backbone=dict(type='skd_mm.ResNet', depth=34, out_indices=(4, )),
    neck=dict(_delete_=True, type='skd_mm.ConcatPooling', in_channels=512, out_channels=256),
    head=dict(num_classes=10, in_channels=256))
