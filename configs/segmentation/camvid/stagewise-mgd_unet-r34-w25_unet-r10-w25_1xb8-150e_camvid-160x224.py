# SKD, stage by stage; then the whole student on the ground truth and another method.
_base_ = ['../../skd/camvid/skd_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224.py', '../../_base_/distillers/seg_mgd_unet.py']
model = dict(spots=[*_base_.model.spots, *_base_.distiller.spots])
head_spots = [spot.name for spot in _base_.distiller.spots]
schedule = dict(fraction=1.0, head_spots=head_spots, head=dict(train=['all']))
