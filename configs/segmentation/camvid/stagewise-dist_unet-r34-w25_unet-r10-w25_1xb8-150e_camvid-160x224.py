# SKD, stage by stage; its last phase has DIST at the logits, too.
_base_ = '../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py'
dist = dict(name='dist', student='decode_head.conv_seg', loss=dict(type='DISTLoss'))
model = dict(spots=[*_base_.model.spots, dist])
schedule = dict(fraction=1.0, head_spots=['dist'])
