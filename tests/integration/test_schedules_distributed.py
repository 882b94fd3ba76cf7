"""Every kind of schedule on two processes is that on one, as far as a loss decomposes over samples."""

import os
import subprocess
import sys

import pytest
import torch

from tests.helpers import differing
from tests.integration.schedules_worker import SCHEDULES

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def runs(tmp_path_factory, repo):
    """What each of two processes ended with, and what one did."""
    folder = tmp_path_factory.mktemp('schedules')
    env = dict(os.environ, PYTHONPATH=str(repo), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    env = {key: value for key, value in env.items() if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    worker = [str(repo / 'tests/integration/schedules_worker.py'), str(folder)]
    for command in ([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', *worker],
                    [sys.executable, *worker]):
        done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=900)
        if done.returncode:
            pytest.fail(f'{command} failed:\n{done.stderr[-3000:]}')
    names = ('world2_rank0', 'world2_rank1', 'world1_rank0')
    return [torch.load(folder / f'{name}.pth', weights_only=False) for name in names]


@pytest.mark.parametrize('cache', [0, 1])
@pytest.mark.parametrize('kind', list(SCHEDULES))
def test_two_processes_end_like_one(runs, kind, cache):
    first, second, one = (run[f'{kind}-{cache}'] for run in runs)
    assert not differing(first['state'], second['state'])
    assert first['iters'] == one['iters'] and first['best'].keys() == one['best'].keys()
    # Feature phases were handed over from their first validation, although they were trained on after it.
    for phase, record in one['best'].items():
        assert first['best'][phase]['iter'] == record['iter']
    for name, value in one['state'].items():
        torch.testing.assert_close(first['state'][name], value, rtol=1e-6, atol=1e-6, msg=f'{kind}: {name}')


@pytest.mark.parametrize('kind', list(SCHEDULES))
def test_the_cache_changes_nothing(runs, kind):
    for run in runs:
        assert not differing(run[f'{kind}-0']['state'], run[f'{kind}-1']['state'])
