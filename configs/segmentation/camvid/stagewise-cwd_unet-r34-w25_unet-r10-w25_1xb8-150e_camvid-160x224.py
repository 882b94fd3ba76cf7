# SKD, stage by stage; then the whole student on the ground truth and CWD at the logits.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
cwd = dict(name='cwd', student='decode_head.conv_seg', weight=3, loss=dict(type='CWDLoss', temperature=4))
model = dict(spots=[*_base_.model.spots, cwd])
schedule = dict(fraction=1.0, head_spots=['cwd'], head=dict(train=['all']))
