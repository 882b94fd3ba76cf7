import gc
import re
import weakref

import pytest
import torch
from torch import nn

from skd_mm.features import FeatureExtractor
from tests.helpers import calls, differing, network, state


class Chain(nn.Module):
    """a -> b -> c -> d, where c returns a pair and d works in place; e is never run."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 1)
        self.b = nn.BatchNorm2d(4)
        self.c = Pair()
        self.d = nn.ReLU(inplace=True)
        self.e = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        first, second = self.c(self.b(self.a(x)))
        return self.d(first) + second


class Pair(nn.Module):

    def __init__(self):
        super().__init__()
        self.part = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.part(x), x * 2


@pytest.fixture
def chain():
    return Chain().eval()


X = torch.randn(2, 3, 5, 5)


def run(model, *names, **kwargs):
    return FeatureExtractor(model).run(lambda: model(X), capture=names, **kwargs)


def test_captures_what_the_modules_give(chain):
    result, features = run(chain, 'b', 'a')
    assert list(features) == ['a', 'b']  # in the order in which they appear
    assert torch.equal(features['a'], chain.a(X))
    assert torch.equal(features['b'], chain.b(chain.a(X)))
    assert torch.equal(result, chain(X))


def test_without_anything_to_capture_the_model_just_runs(chain):
    result, features = run(chain)
    assert torch.equal(result, chain(X)) and not features


@pytest.mark.parametrize(('names', 'after'), [
    (['a'], {'b', 'c', 'c.part', 'd'}), (['b'], {'c', 'c.part', 'd'}), (['b', 'a'], {'c', 'c.part', 'd'}),
    (['c.part'], {'d', 'c'}), (['d', 'a'], {''})])
def test_stops_after_the_last_one(chain, names, after):
    with calls(chain) as count:
        result, features = run(chain, *names, stop=True)
    assert result is None
    assert set(features) == set(names)
    assert not after & set(count)
    assert not set(names) - set(count)


def test_runs_nothing_where_nothing_is_wanted(chain):
    with calls(chain) as count:
        assert run(chain, stop=True) == (None, {})
    assert not count


def test_an_element_of_a_tuple(chain):
    features = run(chain, 'c[1]', 'c[-2]', stop=True)[1]
    entry = chain.b(chain.a(X))
    assert torch.equal(features['c[1]'], entry * 2)
    assert torch.equal(features['c[-2]'], chain.c.part(entry))


class Nested(nn.Module):

    def forward(self, x):
        return [x, x * 2], (x * 3, )


def test_an_element_of_nested_sequences():
    model = nn.Sequential(Nested())
    names = ['0[0][1]', '0[-1][0]']
    features = FeatureExtractor(model).run(lambda: model(X), names)[1]
    assert [torch.equal(features[name], X * k) for name, k in zip(names, (2, 3), strict=True)] == [True, True]
    for name, message in (('0[0]', r"'0\[0\]' .* is a list, not a tensor; choose .* like '0\[0\]\[-1\]'"),
                          ('0[1][1]', 'has no element 1: it is a tuple of 1'),
                          ('0[0][0][0]', 'has no element 0: it is a Tensor, without an index')):
        with pytest.raises(KeyError, match=message):
            FeatureExtractor(model).run(lambda: model(X), [name])


@pytest.mark.parametrize('name', ['c[2]', 'c[-3]', 'a[0]'])
def test_an_element_that_is_not_there_is_named(chain, name):
    # A tensor has an element 0 too: its first sample, which nobody means.
    with pytest.raises(Exception, match=re.escape(repr(name))) as caught:
        run(chain, name)
    assert not isinstance(caught.value, IndexError)


def test_a_tuple_cannot_be_a_spot_by_itself(chain):
    with pytest.raises((KeyError, RuntimeError), match=r"'c' in the model .*is a tuple, .* choose .* 'c\[-1\]'"):
        run(chain, 'c')


def test_a_feature_that_is_changed_in_place_is_refused(chain):
    with pytest.raises(RuntimeError, match=r"'c\[0\]' of the model was changed in place"):
        run(chain, 'c[0]')
    with pytest.raises(RuntimeError, match=r"'c.part' of the model was changed in place"):
        run(chain, 'c.part')
    assert run(chain, 'c.part', stop=True)[1]  # nothing after it runs, so nothing changes it


def test_a_module_that_is_not_run_is_named(chain):
    with pytest.raises(RuntimeError, match=r"these modules were not: \['e'\]"):
        run(chain, 'a', 'e')
    with pytest.raises(RuntimeError, match=r"these modules were not: \['e'\]"):
        run(chain, 'a', 'e', stop=True)


@pytest.mark.parametrize(('wrong', 'right'), [('c.patr', 'c.part'), ('c.patr[0]', 'c.part')])
def test_an_unknown_name_is_answered_with_the_closest(chain, wrong, right):
    with pytest.raises(KeyError, match=rf"teacher \(Chain\) has no module .*did you mean '{right}'"):
        FeatureExtractor(chain, 'teacher').run(lambda: chain(X), capture=[wrong])


def test_nothing_is_left_on_the_model_even_after_an_error(chain):
    before = {name: dict(module.__dict__) for name, module in chain.named_modules()}
    run(chain, 'a', record={'b': None}, replay={'a': torch.zeros(2, 4, 5, 5)})
    with pytest.raises(RuntimeError):
        run(chain, 'e', record={'b': None}, replay={'a': torch.zeros(2, 4, 5, 5)})
    with pytest.raises(KeyError):
        run(chain, 'a', 'nothing', replay={'b': torch.zeros(2, 4, 5, 5)})
    with pytest.raises(ZeroDivisionError):
        FeatureExtractor(chain).run(lambda: 1 / 0, capture=['a'], replay={'b': torch.zeros(2, 4, 5, 5)})
    FeatureExtractor(chain).trace(lambda: chain(X))
    for name, module in chain.named_modules():
        assert module.__dict__.keys() == before[name].keys()
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_features_die_with_their_last_reference(chain):
    note = {'b': None}
    view = FeatureExtractor(chain)
    result, features = view.run(lambda: chain(X), capture=['a', 'b'], record=note)
    known = [weakref.ref(tensor) for tensor in (*features.values(), note['b'], result)]
    del features, note, result
    gc.collect()
    assert [reference() for reference in known] == [None] * 4


def test_a_module_used_twice_gives_its_last_output_or_its_first_with_stop():

    class Twice(nn.Module):

        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.a(self.a(x))

    model = Twice()
    assert torch.equal(run(model, 'a')[1]['a'], model.a(model.a(X)))
    assert torch.equal(run(model, 'a', stop=True)[1]['a'], model.a(X))


def test_what_is_replayed_is_not_run(chain):
    known = torch.randn(2, 4, 5, 5)
    with calls(chain.c) as c:
        result, features = run(chain, 'a', 'b', replay={'a': known})
    assert features['a'] is known  # its own hooks still see the output
    assert torch.equal(features['b'], chain.b(known))
    assert c
    pair = chain.c(chain.b(known))
    assert torch.equal(result, pair[0].relu() + pair[1])


def test_a_network_is_entered_again_at_any_stage(chain):
    note = dict.fromkeys(['a', 'b', 'c'])
    with torch.no_grad():
        expected, _ = run(chain, record=note)
    note['c'] = (chain.c.part(note['b']), note['c'][1])  # d has changed the first part in place
    replay = {**note, 'a': torch.full_like(note['a'], float('nan'))}
    assert torch.equal(run(chain, replay=replay)[0], expected)


def test_one_element_cannot_be_replayed(chain):
    with pytest.raises(ValueError, match=r"'c\[0\]'"):
        run(chain, replay={'c[0]': X})


def test_notes_every_output_of_whatever_type(chain):
    note = {'a': None, 'c': None}
    run(chain, record=note)
    assert torch.equal(note['a'], chain.a(X))
    assert isinstance(note['c'], tuple)


def test_trace_finds_the_modules_in_the_order_in_which_they_end_and_leaves_no_graph(chain):
    finished = FeatureExtractor(chain).trace(lambda: chain(X))
    assert [path for path, _ in finished] == ['a', 'b', 'c.part', 'c', 'd']
    assert not any(part.requires_grad for _, output in finished for part in (*output, output[0]))


def test_the_stem_is_an_alias_where_there_is_no_such_module():
    from mmengine.registry import MODELS, init_default_scope
    init_default_scope('mmseg')
    model = MODELS.build(dict(type='mmseg.ResNet', depth=18, base_channels=4, stem_channels=4))
    model.eval()  # mmsegmentation's returns nothing
    holder = nn.Module()
    holder.backbone = model
    holder.head = nn.Conv2d(1, 1, 1)
    view = FeatureExtractor(holder)
    assert view.module_path('backbone.stem') == ('backbone.relu', ())
    image = torch.randn(1, 3, 32, 32)
    feature = view.run(lambda: model(image), capture=['backbone.stem'], stop=True)[1]['backbone.stem']
    assert torch.equal(feature, model.relu(model.norm1(model.conv1(image))))
    assert feature.shape[-1] == 16  # before pooling
    with pytest.raises(KeyError, match=r"has no module 'head\.stem'"):
        view.module_path('head.stem')


def test_a_real_stem_goes_before_the_alias():
    model = nn.Module()
    model.backbone = nn.Sequential()
    for name in ('conv1', 'relu', 'stem'):
        model.backbone.add_module(name, nn.Identity())
    assert FeatureExtractor(model).module_path('backbone.stem') == ('backbone.stem', ())


def test_a_view_changes_nothing_in_the_model():
    from mmengine.registry import MODELS, init_default_scope
    init_default_scope('mmseg')
    model = MODELS.build(network()).eval()
    before, keys = state(model), list(model.state_dict())
    image = torch.randn(1, 3, 12, 12)
    FeatureExtractor(model).run(lambda: model(image), capture=['backbone.layers.1', 'backbone[2]'])
    assert list(model.state_dict()) == keys
    assert not differing(before, state(model))
