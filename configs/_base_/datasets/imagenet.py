_base_ = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
imagenet = dict(dataset=dict(data_root='{{$SKD_MM_DATA:data}}/imagenet'))
train_dataloader = imagenet
val_dataloader = imagenet
test_dataloader = imagenet
