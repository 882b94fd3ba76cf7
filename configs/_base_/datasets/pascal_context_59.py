_base_ = 'mmseg::_base_/datasets/pascal_context_59.py'
data_root = '{{$SKD_MM_DATA:data}}/VOCdevkit/VOC2010'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
# Options that adapt a network made for another data set.
adapted = {
    'model.data_preprocessor.size': (480, 480),
    'model.decode_head.num_classes': 59,
    'model.auxiliary_head.num_classes': 59
}
