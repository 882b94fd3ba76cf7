"""Toy runs with labelled and unlabelled images, for the tests of resuming, of the cache and of several processes."""

from tests.helpers import PIPELINE, SPOTS, network

LOGITS = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1))
# Labels that these images have are not used.
UNLABELLED = dict(dataset=dict(type='mmengine.ToySegDataset', images=12, first=100, pipeline=PIPELINE))
SCHEDULE = dict(type='Phases', phase_epochs=2, val_interval=1, unlabelled_fraction=2 / 3, phases=[
    dict(name='features', train=['backbone'], spots=[SPOTS[0], SPOTS[2]]),
    dict(name='head', train=['decode_head'], task=1, fraction=0.75),
    dict(name='both', train=[SPOTS[2], 'logits', 'task_head'], task=0.5, data='both', spots=[SPOTS[2], 'logits']),
    dict(name='all', train='all', spots=[SPOTS[0], 'logits'], unlabelled_fraction=1.0, val_metric='task')])


def partly_labelled(cache=0, student=None):
    """The part of a config that trains on unlabelled, labelled and mixed batches of 4 images."""
    model = dict(type='skd_mm.Distiller', student=student or network(dropout=0.3), teacher=network(),
                 spots=[*SPOTS, LOGITS])
    return dict(model=model, schedule=dict(SCHEDULE, cache=cache), unlabelled_dataloader=UNLABELLED)
