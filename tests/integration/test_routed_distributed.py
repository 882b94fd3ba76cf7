"""Rule 7 for a router: two processes with half the batch each learn what one learns."""

import os
import subprocess
import sys

import pytest
import torch

from tests.helpers import differing

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def results(tmp_path_factory, repo):
    """The steps of one process, and of each of two."""
    folder = tmp_path_factory.mktemp('routed')
    env = {key: value for key, value in os.environ.items() if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
    env |= dict(PYTHONPATH=str(repo), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    worker = [str(repo / 'tests/integration/routed_worker.py'), str(folder)]
    for command in ([sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', *worker],
                    [sys.executable, *worker]):
        done = subprocess.run(command, cwd=repo, env=env, capture_output=True, text=True, timeout=600)
        if done.returncode:
            pytest.fail(f'{command} failed:\n{done.stderr[-3000:]}')
    return [torch.load(folder / f'routed_{name}.pth') for name in ('1_0', '2_0', '2_1')]


@pytest.mark.parametrize('reduction', ['sum', 'mean'])
def test_two_processes_are_one(results, reduction):
    one, *ranks = (result[reduction] for result in results)
    for rank in ranks:
        for name, value in one['state'].items():
            torch.testing.assert_close(rank['state'][name], value, rtol=0, atol=1e-10, msg=name)
        # The ratio that the γ rule goes by, and the hinge, are those of all processes.
        for found, expected in zip(rank['logs'], one['logs'], strict=True):
            for key in ('router.ratio', 'router.keep_loss'):
                assert found[key] == pytest.approx(expected[key])
    assert any(log['router.keep_loss'] > 0 for log in one['logs']) or reduction == 'mean'


def test_a_relational_spot_that_one_process_does_not_distil_keeps_them_equal(results):
    _, *ranks = (result['relational'] for result in results)
    assert not differing(ranks[0]['state'], ranks[1]['state'])
    assert all(value.isfinite().all() for value in ranks[0]['state'].values())
