# Ten stages without labels, the head on 36 labels, then the whole student without labels.
_base_ = '../_base_/unet-w25_camvid-160x224.py'
schedule = dict(
    _delete_=True, type='FewLabels', phase_epochs=7, fraction=0.1, head=dict(epochs=70, val_interval=10),
    polish=dict(epochs=12, val_interval=3))
