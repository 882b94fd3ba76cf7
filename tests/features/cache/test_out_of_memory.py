import gc
import weakref

import pytest
import torch
from torch import nn

from skd_mm.features import FeatureCache
from skd_mm.features.cache import is_out_of_memory, restorer, retry_after_release

ENDS = [torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB'), MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")]


class Step:
    """Fails a given number of times."""

    def __init__(self, error, times=1):
        self.error, self.times, self.calls = error, times, 0

    def __call__(self):
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return 'done'


def full():
    cache = FeatureCache(2**20)
    for i in range(4):
        cache.put([i], {'x': torch.ones(1, 2)})
    return cache


@pytest.mark.parametrize('error', ENDS)
def test_a_step_is_repeated_with_less_in_the_cache(error):
    cache, step, restored = full(), Step(error), []
    assert retry_after_release(step, cache, lambda: restored.append(cache.bytes)) == 'done'
    assert step.calls == 2 and restored == [16] and is_out_of_memory(error)


def test_a_step_is_repeated_once():
    cache, step = full(), Step(ENDS[0], times=2)
    with pytest.raises(torch.OutOfMemoryError):
        retry_after_release(step, cache)
    assert step.calls == 2


@pytest.mark.parametrize('cache', [None, FeatureCache(2**20)])
def test_a_step_is_not_repeated_if_nothing_is_given_back(cache):
    step = Step(ENDS[0])
    with pytest.raises(torch.OutOfMemoryError):
        retry_after_release(step, cache)
    assert step.calls == 1


def test_other_errors_are_raised():
    cache, step = full(), Step(RuntimeError('shapes differ'))
    with pytest.raises(RuntimeError, match='shapes differ'):
        retry_after_release(step, cache)
    assert step.calls == 1 and cache.bytes == 32


def test_the_tensors_of_the_failed_step_are_gone_before_it_is_repeated():
    alive, seen = [], []

    def step():
        seen.append([one() is not None for one in alive])
        big = torch.zeros(10)
        alive.append(weakref.ref(big))
        if len(alive) == 1:
            raise MemoryError
        del big

    gc.disable()
    try:
        retry_after_release(step, full())
    finally:
        gc.enable()
    assert seen == [[], [False]]


@pytest.mark.parametrize('accumulated', [False, True])
def test_a_repeated_step_starts_where_the_first_one_did(accumulated):
    def make():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))

    def step(model, fails):
        torch.manual_seed(1)
        model(inputs).square().mean().backward()
        if fails:
            raise MemoryError

    inputs, models, failures = torch.randn(5, 3), [make(), make()], [True]
    for model in models:
        if accumulated:
            torch.manual_seed(2)
            model(inputs).sum().backward()
            model[0].bias.grad = None
    step(models[0], False)
    retry_after_release(lambda: step(models[1], failures and failures.pop()), full(), restorer(models[1]))
    assert not failures
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    for one, other in zip(models[0].buffers(), models[1].buffers(), strict=True):
        assert torch.equal(one, other)
