"""Reconstruction of a quantised network: hand-over, frozen ranges, moving averages, caches, resuming, two processes."""

import os
import subprocess
import sys

import pytest

from tests.helpers import differing, last_checkpoint, load, train, train_killed
from tests.integration import quantised_runs
from tests.integration.quantised_runs import SEEN, quantised_config

pytestmark = pytest.mark.slow



def ranges(tensors):
    return {name: value for name, value in tensors.items() if 'quantizer' in name}


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    """What is recorded of a run whose first validation of each phase is the best, with a moving average."""
    folder = tmp_path_factory.mktemp('recorded')
    SEEN.clear()
    runner = train(quantised_config(
        folder, val_evaluator=[dict(type='FirstIsBest')],
        custom_hooks=[dict(type='EMAHook', momentum=0.3, update_buffers=True), dict(type='QuantisedStateRecorder')]))
    return list(SEEN), runner.train_loop.checkpoints.best, folder


def test_ranges_are_known_before_the_first_phase_and_stay_in_stages_that_are_not_trained(recorded):
    seen, _, _ = recorded
    assert all(value for name, value in seen[0]['state'].items() if name.endswith('calibrated'))
    for before, after in zip(seen[::2], seen[1::2], strict=True):
        moved = {name for name in differing(before['state'], after['state']) if name.startswith('student.')}
        stage = before['phase']
        allowed = ('student.decode_head.', ) if stage.startswith('decode_head') else (f'student.{stage}.', )
        assert all(name.startswith(allowed) for name in moved)
        assert {name.rpartition('.')[2] for name in moved} == {'weight', 'bias', 'log_step'}


def test_a_phase_starts_from_the_best_ranges_and_its_average_as_well(recorded):
    seen, best, folder = recorded
    for after, before in zip(seen[1::2], seen[2::2], strict=False):
        record = best[after['phase']]
        assert record['iter'] < after['iter']  # it is not the last one
        weights = load(folder / record['file'])['state_dict']
        assert not differing(dict(weights), {name: before['state'][name] for name in weights})
        assert any('log_step' in name for name in differing(before['state'], after['state']))
        assert not differing(before['state'], before['average'][0])


def test_a_cache_changes_nothing(tmp_path):
    plain = dict(pipeline=[dict(type='PackSegInputs')])
    found = []
    for cache in (0, 1):
        schedule = dict(type='StagewiseReconstruction', phase_epochs=1, cache=cache)
        train(quantised_config(tmp_path / str(cache), schedule=schedule, **plain))
        found.append(dict(last_checkpoint(tmp_path / str(cache))['state_dict']))
    assert not differing(*found)


@pytest.mark.parametrize(('event', 'at'), [('before_train_iter', 3), ('before_phase', 3)])
def test_a_resumed_run_ends_with_the_same_weights(event, at, tmp_path, recorded):
    train(quantised_config(tmp_path / 'whole'))
    train_killed(quantised_config(tmp_path / 'killed'), event, at)
    train(quantised_config(tmp_path / 'killed'), resume=True)
    whole, resumed = (dict(last_checkpoint(tmp_path / name)['state_dict']) for name in ('whole', 'killed'))
    assert not differing(whole, resumed)


def test_two_processes_have_the_same_ranges(tmp_path, repo, recorded):
    env = {key: value for key, value in os.environ.items() if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    env |= dict(PYTHONPATH=str(repo), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2',
               quantised_runs.__file__, str(tmp_path)]
    done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert not done.returncode, done.stderr[-3000:]
    one, other = (load(tmp_path / f'rank{rank}.pth') for rank in range(2))
    for first, second in zip(one['seen'], other['seen'], strict=True):
        assert not differing(first['state'], second['state'])
    assert not differing(one['last'], other['last'])
    # Calibration reads the same images on any number of processes.
    assert not differing(ranges(recorded[0][0]['state']), ranges(one['seen'][0]['state']))
