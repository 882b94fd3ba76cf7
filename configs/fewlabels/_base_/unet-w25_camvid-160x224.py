# SKD's pair of narrow U-Nets with a spot at the logits, 36 labelled images of CamVid, and all 367 without their labels.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
model = dict(spots=[
    *_base_.model.spots,
    dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None))
])
unlabelled_dataloader = dict(
    dataset=dict(type='skd_mm.UnlabelledDataset', data_root='{{$SKD_MM_DATA:data}}/camvid/train'))
