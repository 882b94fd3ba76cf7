# Imagenette (ten classes of ImageNet, one folder per class) at 224x224.
#
# SKD augments with fastai's defaults without the flip: each of random crop, rotation up to 10 degrees, zoom up to 1.1,
# perspective warp .2 and lighting .2 (brightness and contrast), the two groups with probability .75. mmpretrain has no
# perspective warp, so there is none here; zoom and lighting are always on; corners of a rotated image are grey (fastai
# reflects), and it is rotated before it is cropped.
dataset_type = 'CustomDataset'
data_root = '{{$SKD_MM_DATA:data}}/imagenette2'
data_preprocessor = dict(
    num_classes=10, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    # The short side becomes 224 to 246 pixels; the long one is not limited.
    dict(type='RandomResize', scale=(100000, 224), ratio_range=(1.0, 1.1), keep_ratio=True),
    dict(
        type='Rotate', magnitude_range=(0, 10), magnitude_std='inf', prob=0.75, random_negative_prob=0.5,
        interpolation='bilinear'),
    dict(type='RandomCrop', crop_size=224),
    dict(type='ColorJitter', brightness=0.2, contrast=0.2),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=224, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, data_prefix='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, data_prefix='val', pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
