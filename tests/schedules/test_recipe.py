import pytest

from skd_mm.registry import RECIPES, build
from skd_mm.schedules import CacheSettings, Phases, Stagewise

STAGES = ['stem', 'layer1', 'layer2', 'task_head']


def phases(**cfg):
    return build(RECIPES, cfg).phases(STAGES)


def stagewise(**cfg):
    return phases(type='Stagewise', **{**dict(phase_epochs=5), **cfg})


def test_what_phases_have_in_common():
    made = stagewise(fraction=0.1, val_interval=2, handover='last', frozen_bn='train', optimizer_params='all',
                     optim_wrapper=dict(clip_grad=1), param_scheduler=[dict(type='X')])
    assert len(made) == 4
    for phase in made:
        assert (phase.epochs, phase.iters, phase.fraction, phase.val_interval) == (5, None, 0.1, 2)
        assert (phase.handover, phase.frozen_bn, phase.optimizer_params) == ('last', 'train', 'all')
        assert phase.optim_wrapper == dict(clip_grad=1) and phase.param_scheduler == [dict(type='X')]


def test_a_phase_whose_task_loss_is_switched_is_validated_by_what_it_learns():
    made = stagewise(head=dict(task=0, spots=['layer1']), overrides=dict(layer1=dict(task=1)))
    assert [phase.validates_task for phase in made] == [False, True, False, False]


def test_overrides_are_of_single_phases():
    made = stagewise(fraction=0.5, overrides=dict(
        layer1=dict(epochs=9, fraction=1.0, spots={'layer1': 0.5, 'stem': 2.0}),
        layer2=dict(iters=7, train=['layer2', 'layer1']),
        task_head=dict(frozen_bn='train')))
    assert [(phase.epochs, phase.iters) for phase in made] == [(5, None), (9, None), (None, 7), (5, None)]
    assert [phase.fraction for phase in made] == [0.5, 1.0, 0.5, 0.5]
    assert made[1].spots == {'layer1': 0.5, 'stem': 2.0}
    assert made[2].train == ['layer2', 'layer1']
    assert [phase.frozen_bn for phase in made] == ['eval'] * 3 + ['train']


def test_a_length_in_iterations():
    made = stagewise(phase_epochs=None, phase_iters=30, overrides=dict(stem=dict(epochs=1)))
    assert [(phase.epochs, phase.iters) for phase in made] == [(1, None)] + [(None, 30)] * 3


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(phase_epoch=5), "there is no setting 'phase_epoch'; did you mean 'phase_epochs'"),
    (dict(fractoin=0.5), "there is no setting 'fractoin'; did you mean 'fraction'"),
    (dict(epochs=5), "there is no setting 'epochs'; did you mean"),
    (dict(phase_epochs=None), r'exactly one of `phase_epochs` \(None\) and `phase_iters` \(None\)'),
    (dict(phase_iters=5), r'exactly one of `phase_epochs` \(5\) and `phase_iters` \(5\)'),
    (dict(fraction=0), r"phase 'stem': `fraction` must be in \(0, 1\], not 0"),
    (dict(overrides=dict(layer11=dict(epochs=1))), "`overrides`: there is no phase 'layer11'; did you mean 'layer1'"),
    (dict(overrides=dict(layer1=dict(epoch=1))), "phase 'layer1': there is no setting 'epoch'; did you mean 'epochs'"),
    (dict(overrides=dict(layer1=dict(spots=['layer3']))),
     "phase 'layer1': there is no spot 'layer3'; did you mean 'layer2' or 'layer1'"),
    (dict(overrides=dict(layer1=dict(spots=['task_head']))), "there is no spot 'task_head'"),
    (dict(overrides=dict(layer1=dict(iters=3, epochs=2))), 'exactly one of `epochs`'),
    (dict(head=dict(trian=['x'])), "there is no setting 'trian'; did you mean 'train'")])
def test_a_wrong_name_or_value_is_refused_with_the_closest(cfg, words):
    with pytest.raises(ValueError, match=words):
        stagewise(**cfg)


def test_two_phases_with_one_name_by_an_override():
    with pytest.raises(ValueError, match='name'):
        stagewise(overrides=dict(layer2=dict(name='layer1')))


def test_a_recipe_leaves_its_config_alone():
    cfg = dict(type='Stagewise', phase_epochs=1, overrides=dict(task_head=dict(epochs=2)), head=dict(train=['x']))
    before = repr(cfg)
    first = build(RECIPES, cfg)
    assert first.phases(STAGES) == first.phases(STAGES)
    assert repr(cfg) == before


def test_phases_written_out():
    made = phases(type='Phases', phase_epochs=10, fraction=0.2, phases=[
        dict(name='body', train=['stem', 'layer1'], spots=['layer1']),
        dict(name='head', train='task_head', task=1, epochs=20),
        dict(name='all', train=['all'], task=0.5, spots={'layer2': 2.}, iters=7, fraction=1.0, handover='last')])
    assert [phase.name for phase in made] == ['body', 'head', 'all']
    assert [(phase.epochs, phase.iters) for phase in made] == [(10, None), (20, None), (None, 7)]
    assert [phase.fraction for phase in made] == [0.2, 0.2, 1.0]
    assert [phase.spots for phase in made] == [{'layer1': 1.0}, {}, {'layer2': 2.0}]
    assert [phase.task for phase in made] == [0, 1, 0.5]
    assert made[2].handover == 'last'
    assert [phase.train for phase in made] == [['stem', 'layer1'], ['task_head'], ['all']]


def test_phases_may_all_have_a_length_of_their_own():
    assert phases(type='Phases', phases=[dict(name='a', train='all', task=1, epochs=3)])[0].epochs == 3


@pytest.mark.parametrize(('entries', 'words'), [
    ([], '`phases` is empty'),
    ([dict(train='all', task=1)], r"phases\[0\]: \['name'\] must be given"),
    ([dict(name='a', task=1)], r"phases\[0\]: \['train'\] must be given"),
    ([dict(name='a', train='all', task=1, spot=['stem'])],
     r"phases\[0\]: there is no setting 'spot'; did you mean 'spots'"),
    ([dict(name='a', train='all', spots=['sterm'])], "there is no spot 'sterm'; did you mean 'stem'"),
    ([dict(name='a', train='all', task=1)] * 2, "different names, not .'a', 'a'."),
    ([dict(name='a', train='all')], "phase 'a': there is nothing to learn from")])
def test_phases_written_wrong(entries, words):
    with pytest.raises(ValueError, match=words):
        phases(type='Phases', phase_epochs=1, phases=entries)


def test_a_phase_without_any_length():
    with pytest.raises(ValueError, match='exactly one of `epochs`'):
        phases(type='Phases', phases=[dict(name='a', train='all', task=1)])


def test_the_rest_of_the_recipe_is_kept_for_the_loop():
    recipe = Stagewise(phase_epochs=1, cache=0.5, fraction_seed=3)
    assert (recipe.cache, recipe.fraction_seed) == (CacheSettings(memory=0.5), 3)
    assert Phases(phases=[dict(name='a', train='all', task=1, epochs=1)]).cache == CacheSettings()
