import copy
import threading

import pytest
import torch
from torch import nn

from skd_mm.features import FeatureCache, FeatureFiles, needed_outputs, placeholder
from skd_mm.features.cache import copies, feature_cache
from skd_mm.features.cache.encoding import Encoding
from skd_mm.features.placeholders import resized
from skd_mm.registry import ENCODINGS


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))


@pytest.mark.parametrize('feature', [
    torch.randn(3, 4, 5),
    (torch.randn(3, 4, 5), torch.randn(3, 2)),
    [torch.randn(3, 4), (torch.randn(3), torch.arange(3))]])
def test_gives_back_what_was_put_in_in_any_batch(feature):
    cache = FeatureCache(2**20)

    def of(order):
        def pick(value):
            if isinstance(value, torch.Tensor):
                return value[order]
            return type(value)(map(pick, value))
        return pick(feature)

    cache.put(['a', 'b', 'c'], {'x': feature, 'y': torch.arange(3)})
    found = cache.get(['c', 'a'])
    assert same(found['x'], of([2, 0]))
    assert found['y'].tolist() == [2, 0]
    assert cache.get(['a', 'd']) is None


def test_rows_that_are_missing_are_computed_and_the_others_read():
    cache = FeatureCache(2**20)
    cache.put(['a', 'c'], {'x': torch.tensor([[1.], [3.]]), 'y': (torch.arange(2), )})
    keys = ['d', 'c', 'b', 'a']
    rows = cache.missing(keys)
    assert rows == [0, 2]
    new = {'x': torch.tensor([[4.], [2.]]), 'y': (torch.tensor([7, 8]), )}
    cache.put([keys[row] for row in rows], new)
    found = cache.read(keys, 'cpu', rows, new)
    assert found['x'].tolist() == [[4], [3], [2], [1]] and found['y'][0].tolist() == [7, 1, 8, 0]
    assert not cache.missing(keys) and torch.equal(cache.read(keys)['x'], found['x'])


def test_rows_that_do_not_fit_are_read_from_what_was_computed():
    cache = FeatureCache(4)  # one sample
    feature = {'x': torch.tensor([[1.], [2.]])}
    cache.put(['a', 'b'], feature)
    assert cache.missing(['a', 'b']) == [1]
    assert cache.read(['a', 'b'], 'cpu', [1], {'x': torch.tensor([[5.]])})['x'].tolist() == [[1], [5]]
    with pytest.raises(KeyError):
        cache.read(['a', 'b'])


def test_rows_from_outside_are_rounded_as_those_that_are_stored():
    cache, feature = FeatureCache(0, dtype=torch.bfloat16), torch.randn(2, 3)
    found = cache.read(['a', 'b'], 'cpu', [0, 1], {'x': feature})['x']
    assert torch.equal(found, feature.bfloat16().float()) and not torch.equal(found, feature)


def test_keeps_no_reference_to_the_batch():
    cache = FeatureCache(2**20)
    feature = torch.ones(2, 3, requires_grad=True) * 1
    cache.put([0, 1], {'x': feature})
    with torch.no_grad():
        feature.zero_()
    found = cache.get([1])['x']
    assert found.tolist() == [[1, 1, 1]] and not found.requires_grad
    assert cache.bytes == 2 * 3 * 4


def test_the_first_value_of_a_sample_stays():
    cache = FeatureCache(2**20)
    cache.put([0, 1], {'x': torch.tensor([1., 2.])})
    cache.put([1, 2], {'x': torch.tensor([9., 3.])})
    assert cache.get([0, 1, 2])['x'].tolist() == [1, 2, 3]


def test_the_limit_is_kept_and_what_is_beyond_it_is_computed():
    cache = FeatureCache(20)  # two samples of two float32 values, and a bit
    cache.put([0, 1, 2], {'x': torch.randn(3, 2)})
    assert cache.bytes == 16 and cache.full
    assert cache.get([0, 1]) is not None
    assert cache.get([0, 2]) is None
    cache.put([3], {'x': torch.randn(1, 1)})
    assert cache.get([3]) is None


def test_a_sample_that_is_twice_in_a_batch_is_stored_once():
    cache = FeatureCache(2**20)
    cache.put([0, 1, 0], {'x': torch.tensor([1., 2., 3.])})
    assert cache.bytes == 8 and len(cache) == 2
    assert cache.get([1, 0])['x'].tolist() == [2, 1]


@pytest.mark.parametrize('rows', [[1], [0, 2], [1, 2], [0, 1, 2]])
def test_only_the_new_rows_of_a_batch_are_stored(rows):
    cache, feature = FeatureCache(2**20), torch.arange(6.).view(3, 2)
    stored = [row for row in range(3) if row not in rows]
    cache.put(stored, {'x': feature[stored]})
    cache.put([0, 1, 2], {'x': feature * torch.tensor([[float(row in rows)] for row in range(3)])})
    assert torch.equal(cache.get([2, 1, 0])['x'], feature.flip(0)) and cache.bytes == 24


def test_rows_of_different_features_are_no_batch():
    cache = FeatureCache(2**20)
    cache.put([0], {'x': torch.ones(1, 2)})
    cache.put([1], {'x': torch.ones(1, 3)})
    cache.put([2], {'y': torch.ones(1, 2)})
    for other in (1, 2):
        with pytest.raises(RuntimeError, match='different features'):
            cache.read([0, other])


@pytest.mark.parametrize('tier', ['device', 'host', 'disk'])
def test_there_may_be_nothing_to_store(tier, tmp_path):
    cache = FeatureCache(9 * (tier == 'device'), FeatureFiles(tmp_path, lambda: 'k', 9), host=9 * (tier == 'host'))
    cache.put([0, 1], {})
    assert cache.missing([0, 1]) == [] and cache.read([1, 0]) == {} == cache.read([2], 'cpu', [0], {})
    cache.prefetch([0, 1], 'cpu')
    assert cache.read([0, 1]) == {}
    assert cache.release() == 0 and '2 samples' in cache.summary()
    cache.close()


def test_half_precision_counts_half():
    cache = FeatureCache(2**20)
    cache.put([0], {'x': torch.zeros(1, 8, dtype=torch.bfloat16)})
    assert cache.bytes == 16 and cache.get([0])['x'].dtype == torch.bfloat16


def test_a_copy_shares_the_features():
    cache = FeatureCache(2**20)
    model = nn.Linear(1, 1)
    model.cache = cache
    assert copy.deepcopy(model).cache is cache


# Giving memory back

def filled(count, host=0, files=None):
    cache = FeatureCache(2**20, host=host, files=files)
    for i in range(count):
        cache.put([2 * i, 2 * i + 1], {'x': torch.tensor([2. * i, 2 * i + 1])})
    return cache


@pytest.mark.parametrize('share, left', [(0.1, 18), (0.5, 10), (0.51, 8), (1, 0)])
def test_a_share_of_the_memory_is_given_back(share, left):
    cache = filled(10)
    assert cache.release(share) == (20 - left) * 4
    assert cache.bytes == left * 4 and len(cache) == left
    assert cache.missing(range(20)) == list(range(left, 20))
    cache.put(range(20), {'x': torch.arange(20.)})
    assert cache.full and cache.bytes == left * 4
    if left:
        assert cache.read(range(left))['x'].tolist() == list(range(left))
    assert bool(cache.release()) == bool(left)


def test_what_is_given_back_moves_to_the_host():
    cache = filled(4, host=2**20)
    cache.release(0.5)
    cache.put(range(8), {'x': -torch.arange(8.)})
    assert not cache.missing(range(8)) and not cache.full
    assert cache.read(range(8))['x'].tolist() == [0, 1, 2, 3, -4, -5, -6, -7]
    assert cache.release() == 16 and cache.missing(range(8)) == [0, 1, 2, 3]


def test_memory_that_ends_while_features_are_stored_ends_the_storing(monkeypatch):
    cache = filled(10)

    def fail(*args, **kwargs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, 'clone', fail)
        cache.put([20], {'x': torch.ones(1)})
    assert cache.missing([17, 18, 20]) == [1, 2] and cache.bytes == 72
    cache.put([21], {'x': torch.ones(1)})
    assert cache.missing([21]) == [0]


def test_other_errors_while_features_are_stored_are_raised(monkeypatch):
    cache = filled(1)

    def fail(*args, **kwargs):
        raise RuntimeError('something else')

    monkeypatch.setattr(torch.Tensor, 'clone', fail)
    with pytest.raises(RuntimeError, match='something else'):
        cache.put([20], {'x': torch.ones(1)})


def test_batches_share_a_piece_of_host_memory():
    cache = FeatureCache(0, host=2**20)
    for i in range(5):
        cache.put([i], {'x': torch.ones(1, 3), 'y': torch.ones(1, dtype=torch.bool), 'z': torch.ones(1, 0)})
    tensors = [tensor for block in cache._blocks for tensor in block.tensors]
    assert len({tensor.untyped_storage().data_ptr() for tensor in tensors}) == 1
    assert all(tensor.data_ptr() % 64 == 0 for tensor in tensors)
    cache.put(['big'], {'x': torch.ones(1, 3), 'y': torch.ones(1, dtype=torch.bool), 'z': torch.ones(1, 2**17)})
    assert not cache.missing([0, 4, 'big']) and cache.read([2])['x'].tolist() == [[1, 1, 1]]


# Reading ahead

def test_samples_that_were_copied_ahead_are_read(monkeypatch):
    cache = FeatureCache(8, host=2**20)
    cache.put(range(6), {'x': torch.arange(6.), 'y': torch.arange(6)})
    assert {block.tier: len(block) for block in cache._blocks} == dict(host=6)
    copied = []
    copy = copies.to_device
    for module in (copies, feature_cache):
        monkeypatch.setattr(module, 'to_device', lambda rows, device: (
            copied.append((len(rows), threading.current_thread() is threading.main_thread())), copy(rows, device))[1])
    cache.prefetch([3, 1], 'cpu')
    assert cache.read([5, 4])['x'].tolist() == [5, 4]  # another batch
    assert cache.read([3, 1])['y'].tolist() == [3, 1]
    assert copied == [(2, False), (2, True)] or copied == [(2, True), (2, False)]
    assert cache.read([3, 1])['x'].tolist() == [3, 1] and len(copied) == 3
    cache.close()


def test_a_batch_may_be_copied_ahead_in_part():
    cache = FeatureCache(16, host=32)  # one sample, and two
    cache.put(range(4), {'x': torch.arange(4.), 'y': torch.arange(4)})
    cache.prefetch([2, 0, 3, 9, 1], 'cpu')
    assert cache._ahead[0].slots == [cache._index.get(key) for key in (2, 1)]
    found = cache.read([2, 0, 3, 1], 'cpu', [2], {'x': torch.tensor([30.]), 'y': torch.tensor([30])})
    assert found['x'].tolist() == found['y'].tolist() == [2, 0, 30, 1]
    cache.close()


def test_two_batches_are_copied_ahead(monkeypatch):
    cache, here = FeatureCache(0, host=2**20), []
    cache.put(range(9), {'x': torch.arange(9.)})
    monkeypatch.setattr(feature_cache, 'to_device', lambda *args: here.append(args))
    cache.prefetch([0, 1], 'cpu')
    for first in range(2, 10, 2):
        cache.prefetch([first, first + 1], 'cpu')
        assert cache.read([first - 2, first - 1])['x'].tolist() == [first - 2, first - 1]
    assert not here and len(cache._ahead) == 1
    cache.close()


def test_no_thread_is_started_for_samples_on_the_device():
    cache = filled(3)
    before = threading.active_count()
    cache.prefetch([1, 2], 'cpu')
    assert not cache._ahead and threading.active_count() == before


# Rounding

def test_what_rounding_takes_away_is_reported():
    cache = FeatureCache(2**20, dtype='bfloat16')
    feature = torch.randn(2, 3, 4)
    cache.put([0, 1], {'x': feature, 'counts': torch.ones(2, dtype=torch.long)})
    share = (feature - feature.bfloat16()).norm() / feature.norm()
    assert 0.001 < share < 0.004 and f'rounded by {share:.2%} of their root mean square' in cache.summary()
    assert cache.bytes == 2 * (12 * 2 + 8)
    summary = cache.summary()
    cache.read([0, 2], 'cpu', [1], {'x': torch.full((1, 3, 4), 1.003), 'counts': torch.ones(1, dtype=torch.long)})
    assert cache.summary() == summary
    whole = FeatureCache(2**20)
    whole.put([0, 1], {'x': feature})
    assert 'rounded' not in whole.summary()


def test_an_encoding_may_store_other_tensors(monkeypatch, tmp_path):
    """Eight bits with a scale per sample, which is what another encoding would look like."""

    class Int8(Encoding):
        exact = False

        def applies(self, feature):
            return isinstance(feature, torch.Tensor) and feature.is_floating_point()

        def encode(self, feature):
            scale = feature.abs().flatten(1).amax(1).clamp(min=1e-12) / 127
            shape = (-1, *[1] * (feature.dim() - 1))
            return dict(values=(feature / scale.view(shape)).round().to(torch.int8), scale=scale)

        def decode(self, stored):
            return stored['values'] * stored['scale'].view(-1, *[1] * (stored['values'].dim() - 1))

    monkeypatch.setitem(ENCODINGS.module_dict, 'int8', Int8)
    feature = {'x': torch.randn(3, 4, 5, 6), 'y': torch.arange(3)}
    caches = FeatureCache(2**20, dtype='int8'), FeatureCache(0, FeatureFiles(tmp_path, lambda: 'k', 2**20), 'int8')
    for cache in caches:
        given = cache.put([0, 1, 2], feature)
        cache.close()
        found = cache.read([2, 0])
        assert torch.equal(found['x'], given['x'][[2, 0]]) and found['y'].tolist() == [2, 0]
        assert 0 < (found['x'] - feature['x'][[2, 0]]).abs().max() < 0.05
    assert caches[0].bytes == 3 * (4 * 5 * 6 + 4 + 8)
    again = FeatureCache(0, FeatureFiles(tmp_path, lambda: 'k', 2**20), 'int8')
    assert torch.equal(again.read([1])['x'], given['x'][[1]])


@pytest.mark.parametrize('dtype', ['bfloat17', torch.float16])
def test_an_unknown_encoding_is_refused(dtype):
    with pytest.raises(ValueError, match=r"there is no encoding '.*(there are \['float32', 'bfloat16'\])"):
        FeatureCache(0, dtype=dtype)


def test_a_stand_in_takes_no_memory_and_gives_itself_away():
    output = torch.randn(2, 3, 4)
    filled = resized(placeholder(output), 5)
    assert filled.shape == (5, 3, 4)
    assert filled.untyped_storage().nbytes() == 4
    assert filled.isnan().all()
    assert placeholder(output).shape == (2, 3, 4)


def test_only_what_the_rest_reads_is_needed():
    outputs = {'a': torch.randn(2, 3), 'b': torch.randn(2, 3), 'c': torch.randn(2, 3)}
    layer = nn.Linear(3, 3)

    def run(replay):
        return {'loss': [layer(replay['c']) + replay['a'].mean()], 'other': (replay['b'].shape, )}

    kept = needed_outputs(run, outputs)
    assert kept['a'] is outputs['a'] and kept['c'] is outputs['c']
    assert kept['b'].isnan().all()
    assert layer.weight.grad is None and not any(output.requires_grad for output in outputs.values())


def test_what_is_read_where_no_gradient_flows_is_needed_too():
    outputs = {'a': torch.randn(2, 3), 'b': torch.randn(2, 3), 'c': torch.randint(5, (2, ))}
    kept = needed_outputs(lambda replay: [replay['a'] * replay['b'].detach().mean(), replay['c']], outputs)
    assert kept['b'] is outputs['b'] and kept['c'] is outputs['c']


def test_the_parts_of_an_output():
    outputs = {'a': (torch.randn(2, 3), torch.randn(2, 4)), 'b': torch.randn(2, 3)}
    kept = needed_outputs(lambda replay: replay['a'][1] * 2, outputs)
    assert torch.equal(kept['a'][1], outputs['a'][1])
    assert kept['b'].isnan().all()
