# The comparison in one phase: the whole student without labels, all spots and the logits with 1/11 each.
_base_ = '../_base_/unet-w25_camvid-160x224.py'
spots = [spot if isinstance(spot, str) else spot['name'] for spot in _base_.model.spots]
schedule = dict(
    _delete_=True,
    type='Simultaneous',
    phase_epochs=39,
    val_interval=3,
    task=0,
    average=False,
    spots=dict.fromkeys([*spots, 'logits'], 1 / 11))
