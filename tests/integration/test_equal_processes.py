"""Two processes with half the batch each end like one: routers, schedules and segmentation methods; one ready pair.

If a loss does not decompose over samples, they end like the mean over both halves of the batch.
"""

import pytest
import torch

from tests.helpers import differing
from tests.integration.methods_worker import SPOTS
from tests.integration.schedules_worker import SCHEDULES
from tests.segmentation_methods import BY_BATCH

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory, run_workers):
    """What one process and two have written, each worker into a folder of its name."""
    folder = tmp_path_factory.mktemp('equal')
    for world in (2, 1):
        run_workers(folder, 'routed_worker', 'schedules_worker', 'methods_worker', 'pairs_sweep', world=world)
    return folder


@pytest.fixture(scope='module')
def results(folder):
    """The steps of a router of one process, and of each of two."""
    return [torch.load(folder / f'routed_worker/routed_{name}.pth') for name in ('1_0', '2_0', '2_1')]


@pytest.fixture(scope='module')
def runs(folder):
    """What each of two processes ended with, and what one did."""
    names = ('world2_rank0', 'world2_rank1', 'world1_rank0')
    return [torch.load(folder / f'schedules_worker/{name}.pth', weights_only=False) for name in names]


@pytest.fixture(scope='module')
def methods(folder):
    """Gradients of each method: of one process, for the batch and as the mean over its halves, and of each of two."""
    return [torch.load(folder / f'methods_worker/methods{name}.pth') for name in ('1_0', '2_0', '2_1')]


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


@pytest.mark.parametrize('method', SPOTS)
def test_the_gradients_of_a_method(methods, method):
    (whole, halves), first, second = (found[method] for found in methods)
    assert not differing(first, second)
    expected = halves if method in BY_BATCH else whole
    assert any(gradient.any() for gradient in whole.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(first[name], gradient, rtol=1e-6, atol=1e-9, msg=name)
    if method in BY_BATCH:
        assert any(not torch.allclose(first[name], gradient, rtol=1e-3) for name, gradient in whole.items())


def test_a_ready_pair_ends_alike_with_a_cache_and_on_all_processes(folder):
    """``pairs_sweep.py`` checks all pairs as a command."""
    found = {file.stem: file.read_text() for file in (folder / 'pairs_sweep').glob('*.txt')}
    assert found == dict.fromkeys(['world1_rank0', 'world2_rank0', 'world2_rank1'], 'ok')
