# Pascal VOC 2012 with the additional training images of SBD.
_base_ = 'mmseg::_base_/datasets/pascal_voc12_aug.py'
data_root = '{{$SKD_MM_DATA:data}}/VOCdevkit/VOC2012'
train_dataloader = dict(
    dataset=dict(datasets=[dict(part, data_root=data_root) for part in _base_.train_dataloader.dataset.datasets]))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
# Options that adapt a network made for another data set.
adapted = {
    'model.data_preprocessor.size': (512, 512),
    'model.decode_head.num_classes': 21,
    'model.auxiliary_head.num_classes': 21
}
