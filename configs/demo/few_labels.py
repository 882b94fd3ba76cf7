# Stages, and then the whole student, on all images without labels; the head on the labels of skd.py. The epochs are
# such that the cost is about that of the stagewise schedule.
_base_ = './skd.py'
model = dict(spots=[
    *_base_.model.spots,
    dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None))
])
unlabelled_dataloader = dict(dataset=dict(type='skd_mm.UnlabelledDataset', data_root=_base_.data_root + '/train'))
schedule = dict(
    _delete_=True, type='FewLabels', phase_epochs=4, val_interval=2, fraction=0.1, cache=1,
    head=dict(epochs=60, val_interval=20), polish=dict(epochs=6))
