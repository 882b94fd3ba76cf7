"""Rule 7: two processes with half the batch each do what one does. On a CPU, over gloo, in processes of their own."""

import pytest
import torch

from tests.helpers import SPOTS, differing, load

pytestmark = pytest.mark.slow
STAGES = [*SPOTS, 'task_head']


@pytest.fixture(scope='module')
def folder(tmp_path_factory, run_workers):
    """What two processes have written, each worker into a folder of its name."""
    folder = tmp_path_factory.mktemp('distributed')
    run_workers(folder, 'ddp_worker', 'phases_worker', world=2)
    return folder


@pytest.fixture(scope='module')
def runs(folder, run_workers):
    """What two processes saw, what one saw, and the folder."""
    run_workers(folder, 'ddp_worker', world=1)
    folder = folder / 'ddp_worker'
    ranks = [torch.load(folder / f'world2_rank{rank}.pth', weights_only=False) for rank in range(2)]
    return ranks, torch.load(folder / 'world1_rank0.pth', weights_only=False), folder


@pytest.fixture(scope='module')
def phases(folder):
    """What two processes recorded at the boundaries of phases, and their folder."""
    folder = folder / 'phases_worker'
    return [load(folder / f'rank{rank}.pth') for rank in range(2)], folder


def events(result, run, kind):
    return [event for event in result[run]['seen'] if event['event'] == kind]


def test_the_gradients_of_every_phase_are_those_of_one_process(runs):
    ranks, one, _ = runs
    for rank in ranks:
        for event, expected in zip(events(rank, 'still', 'after'), events(one, 'still', 'after'), strict=True):
            assert (event['phase'], event['iter']) == (expected['phase'], expected['iter'])
            for name, value in expected['state'].items():
                torch.testing.assert_close(event['state'][name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_discriminator_and_its_student_learn_what_they_learn_in_one_process(runs):
    ranks, one, _ = runs
    before, after = (events(one, 'adversarial', kind)[-1]['state'] for kind in ('before', 'after'))
    for part in ('discriminator', 'conv_seg'):
        assert [name for name in differing(before, after) if part in name and name.endswith(('original', 'weight'))]
    for rank in ranks:
        for name, value in after.items():
            torch.testing.assert_close(events(rank, 'adversarial', 'after')[-1]['state'][name], value, rtol=1e-4,
                                       atol=1e-6, msg=name)
    assert not differing(*(events(rank, 'adversarial', 'after')[-1]['state'] for rank in ranks))


def test_each_process_reads_half_of_what_one_reads(runs):
    ranks, one, _ = runs
    # The first three show which parameters the task trains, and that it works.
    whole, halves = one['still']['reads'][3:], [rank['still']['reads'][3:] for rank in ranks]
    assert len(whole) == 4 * 24
    for i in range(24):
        assert halves[0][2 * i:2 * i + 2] + halves[1][2 * i:2 * i + 2] == whole[4 * i:4 * i + 4]


@pytest.mark.parametrize('run', ['still', 'moving', 'seldom'])
def test_all_processes_have_the_same_weights_at_every_phase(runs, run):
    first, second = runs[0]
    for kind in ('before', 'after'):
        pairs = list(zip(events(first, run, kind), events(second, run, kind), strict=True))
        assert pairs
        for one, other in pairs:
            assert not differing(one['state'], other['state'])


@pytest.mark.parametrize('run', ['still', 'moving', 'seldom'])
def test_buffers_agree_at_every_checkpoint(runs, run):
    first, second = (events(rank, run, 'checkpoint') for rank in runs[0])
    assert first and [event['iter'] for event in first] == [event['iter'] for event in second]
    for one, other in zip(first, second, strict=True):
        assert not differing(one['buffers'], other['buffers'])


def test_the_model_is_wrapped_anew_for_what_learns(runs):
    for rank in runs[0]:
        for event, stage in zip(events(rank, 'moving', 'before'), STAGES, strict=True):
            assert event['wrapped'] == 'MMDistributedDataParallel' and event['unused'] is False
            part = 'decode_head.' if stage == 'task_head' else f'{stage}.'
            assert {name for name in event['reduced'] if name.startswith('student.')} == {
                name for name in event['reduced'] if name.startswith(f'student.{part}')}
            assert bool([name for name in event['reduced'] if 'connector' in name]) == (stage == SPOTS[1])


def test_every_validation_measures_the_same_in_all_processes_and_in_one(runs):
    ranks, one, _ = runs
    metrics = [[event['metrics'] for event in events(rank, 'still', 'validation')] for rank in ranks]
    assert metrics[0] == metrics[1]
    expected = [event['metrics'] for event in events(one, 'still', 'validation')]
    assert len(expected) == 8
    for found, values in zip(metrics[0], expected, strict=True):
        # 3 images on 2 processes: the one that fills up does not count.
        assert found == pytest.approx(values, rel=1e-4)


def test_only_one_process_writes_and_it_is_the_best_that_is_handed_over(runs):
    ranks, _, folder = runs
    names = {path.name for path in (folder / 'moving2').glob('*.pth')}
    assert {f'best_spot_loss_phase{k:02d}_{stage}.pth' for k, stage in enumerate(SPOTS)} <= names
    for rank in ranks:
        for k, event in enumerate(events(rank, 'moving', 'before')[1:]):
            best = load(folder / f'moving2/best_spot_loss_phase{k:02d}_{SPOTS[k]}.pth')['state_dict']
            assert not differing({name: event['state'][name] for name in best}, dict(best))
    assert not list((folder / 'moving2').glob('.*.tmp'))


def test_a_killed_run_of_two_processes_ends_in_the_same_weights(runs):
    ranks, _, folder = runs
    for rank in ranks:
        assert not differing(events(rank, 'moving', 'after')[-1]['state'], events(rank, 'killed', 'after')[-1]['state'])
    one, other = load(folder / 'moving2/iter_24.pth'), load(folder / 'killed/iter_24.pth')
    assert one['best'] == other['best']
    for key in ('state_dict', 'ema_state_dict'):
        assert not differing(dict(one[key]), dict(other[key]))


@pytest.mark.parametrize('run', ['early', 'early-cache', 'seeds'])
def test_a_phase_starts_from_the_same_state_on_all_processes(phases, run):
    first, second = (events(rank, run, 'before') for rank in phases[0])
    for one, other in zip(first, second, strict=True):
        assert not differing(one['state'], other['state']), one['phase']


@pytest.mark.parametrize('run', ['early', 'early-cache'])
def test_a_phase_starts_from_the_best_state_of_the_one_before(phases, run):
    ranks, folder = phases
    before, after = events(ranks[0], run, 'before'), events(ranks[0], run, 'after')
    differences = set()
    for k, (ended, begun) in enumerate(zip(after, before[1:], strict=False)):
        record = ranks[0][run]['best'][ended['phase']]
        assert record['iter'] < ended['iter']  # it is not the last one
        best = load(folder / run / record['file'])['state_dict']
        assert not differing({name: begun['state'][name] for name in best}, dict(best)), k
        differences.update(differing(ended['state'], begun['state']))
    kinds = ['running_mean', 'memory', '._u'] if run == 'early' else ['running_mean']
    for kind in kinds:
        assert [name for name in differences if kind in name], kind


def test_synchronized_batch_norm_leaves_frozen_statistics_alone(phases):
    for rank in phases[0]:
        for start, end in zip(events(rank, 'sync-bn', 'before'), events(rank, 'sync-bn', 'after'), strict=True):
            part = 'decode_head.' if start['phase'] == 'task_head' else f'{start["phase"]}.'
            moved = differing(start['state'], end['state'])
            assert moved and all(name.startswith(f'student.{part}') for name in moved), start['phase']


def test_a_seed_for_each_process_leaves_the_data_divided(phases):
    # The first read of each process is that of the task's check, if there is a task.
    reads = [rank['seeds']['reads'] for rank in phases[0]]
    assert [len(indices) for indices in reads] == [12, 12]
    for epoch in range(2):
        assert sorted(reads[0][6 * epoch:6 * epoch + 6] + reads[1][6 * epoch:6 * epoch + 6]) == list(range(12))


def test_averaged_buffers_are_the_same_in_every_validation(phases):
    first, second = (events(rank, 'average', 'average') for rank in phases[0])
    assert first and any(event['phase'] == SPOTS[1] for event in first)
    for one, other in zip(first, second, strict=True):
        assert not differing(one['state'], other['state']), one['phase']
    assert torch.is_tensor(next(iter(first[0]['state'].values())))
