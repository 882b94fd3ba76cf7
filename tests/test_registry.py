import pytest
from mmengine import registry as mmengine_registry
from mmengine.registry import DefaultScope

from skd_mm import registry
from skd_mm.registry import CONNECTORS, LOSSES, RECIPES, build


@pytest.mark.parametrize(('kind', 'name'), [
    ('MODELS', 'Distiller'), ('MODELS', 'ResNet'), ('MODELS', 'UNetHead'), ('DATASETS', 'CamVidDataset'),
    ('METRICS', 'SpotLossMetric'), ('HOOKS', 'PhaseHook'), ('HOOKS', 'PhaseCheckpointHook'), ('LOOPS', 'PhaseLoop'),
    ('LOG_PROCESSORS', 'PhaseLogProcessor'), ('OPTIM_WRAPPERS', 'AmpOptimWrapper'),
    ('PARAM_SCHEDULERS', 'OneCycleMomentum')])
def test_any_config_can_name_our_classes(kind, name):
    ours = getattr(registry, kind).get(name)
    assert ours.__module__.startswith('skd_mm.')
    # From MMEngine's root, as a Runner looks names up, whatever the default scope is.
    for scope in ('mmseg', 'mmpretrain'):
        with getattr(mmengine_registry, kind).switch_scope_and_registry(scope) as current:
            assert current.get(f'skd_mm.{name}') is ours


def test_our_names_do_not_hide_those_of_others():
    with mmengine_registry.MODELS.switch_scope_and_registry('mmseg') as current:
        assert current.get('ResNet').__module__.startswith('mmseg.')


@pytest.mark.parametrize(('kind', 'names'), [
    (LOSSES, {'MSELoss'}), (CONNECTORS, {'Conv1x1', 'Resize'}),
    (RECIPES, {'Stagewise', 'Simultaneous', 'FitNets', 'NoTeacher', 'Phases'})])
def test_the_toolkits_own_names_are_all_there(kind, names):
    build(kind, dict(type=min(names), **{'Conv1x1': dict(in_channels=1, out_channels=1)}.get(min(names), {}),
                     **(dict(hints='a', phase_epochs=1) if kind is RECIPES else {})))
    assert names <= kind.module_dict.keys()


@pytest.mark.parametrize('scope', [None, 'mmseg', 'mmpretrain'])
@pytest.mark.parametrize('prefix', ['', 'skd_mm.'])
def test_the_prefix_may_be_left_out_in_any_scope(scope, prefix):
    if scope:
        DefaultScope.get_instance('registry', scope_name=scope)
    cfg = dict(type=f'{prefix}Conv1x1', in_channels=2)
    connector = build(CONNECTORS, cfg, in_channels=5, out_channels=3)
    assert type(connector).__module__ == 'skd_mm.connectors.projection'
    assert connector.conv.weight.shape == (3, 2, 1, 1)  # the config has the last word
    assert cfg == dict(type=f'{prefix}Conv1x1', in_channels=2)


@pytest.mark.parametrize(('kind', 'wrong', 'right'), [
    (LOSSES, 'MSELos', 'MSELoss'), (CONNECTORS, 'Conv1x', 'Conv1x1'), (RECIPES, 'Stagwise', 'Stagewise')])
def test_an_unknown_name_is_answered_with_the_closest(kind, wrong, right):
    with pytest.raises((KeyError, ValueError), match=right):
        build(kind, dict(type=wrong))
