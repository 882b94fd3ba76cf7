# Imagewoof: ten breeds of dogs, laid out as Imagenette is.
_base_ = './imagenette.py'
imagewoof = dict(dataset=dict(data_root='{{$SKD_MM_DATA:data}}/imagewoof2'))
train_dataloader = imagewoof
val_dataloader = imagewoof
test_dataloader = imagewoof
