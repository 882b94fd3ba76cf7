import pytest

from skd_mm.schedules import Phase


def phase(**values):
    return Phase(**{**dict(name='p', train=['a'], task=1, epochs=2), **values})


def test_what_a_phase_is_if_nothing_is_said():
    made = phase()
    assert (made.spots, made.task, made.epochs, made.iters, made.fraction) == ({}, 1.0, 2, None, 1.0)
    assert (made.handover, made.val_interval) == ('best', None)
    assert (made.frozen_bn, made.optimizer_params) == ('eval', 'trainable')
    assert (made.optim_wrapper, made.param_scheduler) == ({}, None)
    assert made.unit == 'epochs' and phase(epochs=None, iters=3).unit == 'iters'


def test_a_list_of_spots_means_weight_one():
    assert phase(spots=['x', 'y']).spots == {'x': 1.0, 'y': 1.0}
    assert phase(spots={'x': 0.5}).spots == {'x': 0.5}
    assert phase(train='all').train == ['all']
    assert phase(train=('a', 'b')).train == ['a', 'b']


@pytest.mark.parametrize(('values', 'by_task'), [
    ({}, True),
    (dict(task=0, spots=['x']), False),
    (dict(task=0, spots=['x'], val_metric='task'), True),
    (dict(spots=['x'], val_metric='spot_loss'), False)])
def test_what_a_phase_is_validated_by(values, by_task):
    made = phase(**values)
    assert made.validates_task is by_task and made.activation['predicts'] is by_task


def test_phases_share_nothing():
    one, other = phase(), phase()
    one.spots['x'] = 1.0
    one.optim_wrapper['y'] = 1
    assert not other.spots and not other.optim_wrapper


@pytest.mark.parametrize(('values', 'words'), [
    (dict(train=[]), '`train` names nothing'),
    (dict(task=0), 'nothing to learn from'),
    (dict(epochs=None), r'exactly one of `epochs` \(None\) and `iters` \(None\); .*`phase_iters` of the schedule'),
    (dict(iters=3), r'exactly one of `epochs` \(2\) and `iters` \(3\)'),
    (dict(epochs=0), '`epochs` must be a whole number from 1 on, not 0'),
    (dict(epochs=1.5), '`epochs` must be a whole number'),
    (dict(epochs=True), '`epochs` must be a whole number'),
    (dict(epochs=None, iters=-1), '`iters` must be a whole number'),
    (dict(val_interval=0), '`val_interval` must be a whole number'),
    (dict(fraction=0), r'`fraction` must be in \(0, 1\], not 0'),
    (dict(fraction=1.01), r'`fraction` must be in \(0, 1\]'),
    (dict(fraction='0.1'), r'`fraction` must be in \(0, 1\]'),
    (dict(fraction=float('nan')), r'`fraction` must be in \(0, 1\]'),
    (dict(fraction=True), r'`fraction` must be in \(0, 1\]'),
    (dict(handover='bset'), "`handover` must be one of .*; did you mean 'best'"),
    (dict(frozen_bn='trian'), "`frozen_bn` must be one of .*; did you mean 'train'"),
    (dict(val_metric='tsak'), "`val_metric` must be one of .*; did you mean 'task'"),
    (dict(val_metric='spot_loss'), "val_metric='spot_loss' needs an active spot"),
    (dict(optimizer_params='al'), "`optimizer_params` must be one of .*; did you mean 'all'"),
    (dict(spots=dict(x={'a': 1})), r"`spots\['x'\]` must be a number, the weight of a loss, not \{'a': 1\}"),
    (dict(task='x'), '`task` must be a number'),
    (dict(unlabelled_fraction=2), r'`unlabelled_fraction` must be in \(0, 1\], not 2'),
    (dict(labelled_share=1), r'`labelled_share` must be in \(0, 1\), not 1'),
    (dict(data='unlabeled'), "`data` must be one of .*; did you mean 'unlabelled'"),
    (dict(data='unlabelled'), "the task loss is on .* data='unlabelled' has none; use 'both'"),
])
def test_values_that_make_no_sense_are_refused(values, words):
    with pytest.raises(ValueError, match=f"phase 'p': .*{words}"):
        phase(**values)


def test_the_data_of_a_phase():
    assert phase(data=None).with_data(True).data == phase(data=None).with_data(False).data == 'labelled'
    features = dict(task=0, spots=['x'])
    assert phase(**features).with_data(True).data == 'unlabelled'
    assert phase(**features).with_data(False).data == 'labelled'
    assert phase(**features, data='labelled').with_data(True).data == 'labelled'
    for data in ('unlabelled', 'both'):
        with pytest.raises(ValueError, match=f"phase 'p': data='{data}' needs an `unlabelled_dataloader`"):
            phase(**features, data=data).with_data(False)


@pytest.mark.parametrize(('values', 'batch_size', 'expected'), [
    (dict(data='labelled'), 8, 8), (dict(data='unlabelled', task=0, spots=['x']), 8, 0), (dict(data='both'), 8, 4),
    (dict(data='both', labelled_share=0.25), 8, 2), (dict(data='both', labelled_share=0.1), 10, 1)])
def test_the_labelled_samples_of_a_batch(values, batch_size, expected):
    assert phase(**values).labelled_samples(batch_size) == expected


@pytest.mark.parametrize(('share', 'batch_size'), [(0.5, 3), (0.3, 8), (0.01, 8), (0.99, 8)])
def test_a_share_of_no_whole_number_is_refused(share, batch_size):
    with pytest.raises(ValueError, match=f'labelled_share={share} of train_dataloader.batch_size={batch_size} must be'):
        phase(data='both', labelled_share=share).labelled_samples(batch_size)


def test_the_keys_are_all_there():
    assert set(Phase.settings()) >= {'name', 'train', 'spots', 'task', 'epochs', 'iters', 'fraction', 'optim_wrapper',
                                 'param_scheduler', 'handover', 'val_interval', 'frozen_bn', 'optimizer_params'}
