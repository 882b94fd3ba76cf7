"""What two processes share at the boundaries of phases, over gloo on a CPU."""

import os
import subprocess
import sys

import pytest
import torch

from tests.helpers import SPOTS, differing, load

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def runs(tmp_path_factory, repo):
    """What the two processes recorded, and their folder."""
    folder = tmp_path_factory.mktemp('phases')
    env = dict(os.environ, PYTHONPATH=str(repo), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    env = {key: value for key, value in env.items() if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
               str(repo / 'tests/integration/phases_worker.py'), str(folder)]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.fail(done.stderr[-3000:])
    return [load(folder / f'rank{rank}.pth') for rank in range(2)], folder


def events(result, run, kind):
    return [event for event in result[run]['seen'] if event['event'] == kind]


@pytest.mark.parametrize('run', ['early', 'early-cache', 'seeds'])
def test_a_phase_starts_from_the_same_state_on_all_processes(runs, run):
    first, second = (events(rank, run, 'before') for rank in runs[0])
    for one, other in zip(first, second, strict=True):
        assert not differing(one['state'], other['state']), one['phase']


@pytest.mark.parametrize('run', ['early', 'early-cache'])
def test_a_phase_starts_from_the_best_state_of_the_one_before(runs, run):
    ranks, folder = runs
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


def test_synchronized_batch_norm_leaves_frozen_statistics_alone(runs):
    for rank in runs[0]:
        for start, end in zip(events(rank, 'sync-bn', 'before'), events(rank, 'sync-bn', 'after'), strict=True):
            part = 'decode_head.' if start['phase'] == 'task_head' else f'{start["phase"]}.'
            moved = differing(start['state'], end['state'])
            assert moved and all(name.startswith(f'student.{part}') for name in moved), start['phase']


def test_a_seed_for_each_process_leaves_the_data_divided(runs):
    # The first read of each process is that of the task's check, if there is a task.
    reads = [rank['seeds']['reads'] for rank in runs[0]]
    assert [len(indices) for indices in reads] == [12, 12]
    for epoch in range(2):
        assert sorted(reads[0][6 * epoch:6 * epoch + 6] + reads[1][6 * epoch:6 * epoch + 6]) == list(range(12))


def test_averaged_buffers_are_the_same_in_every_validation(runs):
    first, second = (events(rank, 'average', 'average') for rank in runs[0])
    assert first and any(event['phase'] == SPOTS[1] for event in first)
    for one, other in zip(first, second, strict=True):
        assert not differing(one['state'], other['state']), one['phase']
    assert torch.is_tensor(next(iter(first[0]['state'].values())))
