_base_ = 'mmseg::_base_/datasets/cityscapes.py'
data_root = '{{$SKD_MM_DATA:data}}/cityscapes'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
