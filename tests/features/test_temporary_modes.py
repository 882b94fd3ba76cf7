import pytest
import torch
from torch import nn

from skd_mm.features import constant, constant_statistics, preserve_modes, side_effect_free
from skd_mm.features.temporary_modes import preserve_buffers, without_recomputation
from tests.helpers import Prepared


def mixed():
    model = nn.Sequential(nn.Sequential(Prepared(), nn.BatchNorm1d(2)), nn.Dropout(0.5), Prepared())
    model.train()
    model[0].eval()
    model[0][1].train()
    return model


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize('context', [preserve_modes, side_effect_free, constant])
def test_modes_are_restored_by_the_modules_themselves(context):
    model = mixed()
    before, x = modes(model), torch.randn(4, 2)
    expected = model[0][0](x), model[2](x)
    with context(model):
        model.eval()
        model(x)
        assert not any(modes(model))
    assert modes(model) == before
    assert torch.equal(model[0][0](x), expected[0]) and torch.equal(model[2](x), expected[1])
    with pytest.raises(ZeroDivisionError), context(model):
        model.eval()
        raise ZeroDivisionError
    assert modes(model) == before


def test_nothing_is_drawn_from_the_random_state():
    model = nn.Dropout(0.5)
    before = torch.get_rng_state()
    with side_effect_free(model):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize('norm', [nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.BatchNorm1d(2, track_running_stats=False)])
def test_statistics_of_the_batch_do_not_move_the_running_ones(norm):
    model = nn.Sequential(norm)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    momentum = norm.momentum
    with constant_statistics(model):
        # SyncBN refuses a model on the CPU, after it has counted the batch.
        if isinstance(norm, nn.SyncBatchNorm):
            norm.num_batches_tracked.add_(1)
        else:
            x = torch.randn(8, 2) * 3 + 1
            torch.testing.assert_close(model(x).mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    assert norm.momentum == momentum
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_buffers_are_restored():
    model = nn.BatchNorm1d(2)
    with preserve_buffers(model):
        model(torch.randn(4, 2))
        assert model.num_batches_tracked == 1
    assert model.num_batches_tracked == 0 and not model.running_mean.any()


def test_recomputation_is_off_for_a_while():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].with_cp, model[1].with_cp = True, False
    with without_recomputation(model):
        assert model[0].with_cp is False
    assert model[0].with_cp is True and model[1].with_cp is False
