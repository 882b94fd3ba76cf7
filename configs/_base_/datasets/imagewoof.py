# Imagewoof: ten dog breeds, in the layout of Imagenette.
_base_ = './imagenette.py'
imagewoof = dict(dataset=dict(data_root='{{$SKD_MM_DATA:data}}/imagewoof2'))
train_dataloader = imagewoof
val_dataloader = imagewoof
test_dataloader = imagewoof
