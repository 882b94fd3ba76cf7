# CamVid as in CIRKD: crops of 360x360 from images scaled by 0.5 to 2, mirrored; whole images of 360x480 in validation.
_base_ = './camvid.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(480, 360), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(360, 360)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]

train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
# Options that adapt a network made for another data set.
adapted = {
    'model.data_preprocessor.size': (360, 360),
    'model.decode_head.num_classes': 11,
    'model.auxiliary_head.num_classes': 11
}
