_base_ = 'mmseg::_base_/datasets/ade20k.py'
data_root = '{{$SKD_MM_DATA:data}}/ade/ADEChallengeData2016'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
# Options that adapt a network made for another data set.
adapted = {
    'model.data_preprocessor.size': (512, 512),
    'model.decode_head.num_classes': 150,
    'model.auxiliary_head.num_classes': 150
}
