import pytest
import torch

from skd_mm.distillers import Distiller
from tests.helpers import config, differing, last_checkpoint, train


def run(folder, cache, fail_at=None, monkeypatch=None):
    """Train, with an error of the allocator in one forward pass."""
    loss, count = Distiller.loss, []

    def failing(self, *args, **kwargs):
        losses = loss(self, *args, **kwargs)  # statistics of BN have moved
        if self.training:
            count.append(1)
            if len(count) == fail_at:
                raise torch.OutOfMemoryError('CUDA out of memory (a test)')
        return losses

    with monkeypatch.context() as patch:
        patch.setattr(Distiller, 'loss', failing)
        return train(config(folder, {'schedule.cache': cache, 'randomness.deterministic': True}))


def test_a_step_without_memory_is_repeated_with_less_in_a_full_cache(tmp_path, monkeypatch, request):
    request.addfinalizer(lambda: torch.use_deterministic_algorithms(False))
    run(tmp_path / 'plain', 3e-5, monkeypatch=monkeypatch)
    run(tmp_path / 'short', 3e-5, fail_at=5, monkeypatch=monkeypatch)
    one, other = (dict(last_checkpoint(tmp_path / name)['state_dict']) for name in ('plain', 'short'))
    assert not differing(one, other)


def test_a_step_without_memory_ends_a_run_whose_cache_has_none_to_give(tmp_path, monkeypatch):
    with pytest.raises(torch.OutOfMemoryError):
        run(tmp_path, 0., fail_at=5, monkeypatch=monkeypatch)
