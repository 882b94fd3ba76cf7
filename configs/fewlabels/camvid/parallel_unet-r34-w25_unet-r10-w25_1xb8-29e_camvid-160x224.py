# All stages at the same time on the teacher's features, without labels; then as few-labels_*: the head on 36 labels, and
# the whole student without labels.
_base_ = '../_base_/unet-w25_camvid-160x224.py'
schedule = dict(
    _delete_=True, type='ParallelStages', phase_epochs=29, fraction=0.1, logits='logits', val_interval=4,
    head=dict(epochs=70, val_interval=10), polish=dict(task=0, epochs=12, val_interval=3))
