import pytest
import torch
from torch import nn

from skd_mm.features import FeatureCache, needed_outputs, placeholder
from skd_mm.features.placeholders import resized


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


def test_half_precision_counts_half():
    cache = FeatureCache(2**20)
    cache.put([0], {'x': torch.zeros(1, 8, dtype=torch.bfloat16)})
    assert cache.bytes == 16 and cache.get([0])['x'].dtype == torch.bfloat16


def test_what_rounding_takes_away_is_said():
    cache = FeatureCache(2**20, dtype=torch.bfloat16)
    feature = torch.randn(2, 3, 4)
    cache.put([0, 1], {'x': feature, 'counts': torch.ones(2, dtype=torch.long)})
    share = (feature - feature.bfloat16()).norm() / feature.norm()
    assert 0.001 < share < 0.004 and f'rounded by {share:.2%} of their root mean square' in cache.summary()
    whole = FeatureCache(2**20)
    whole.put([0, 1], {'x': feature})
    assert 'rounded' not in whole.summary()


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
