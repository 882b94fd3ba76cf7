import pytest

from skd_mm.schedules import BackboneFirst, FewLabels, Stagewise
from tests.helpers import UNET_SPOTS

STAGES = [*UNET_SPOTS, 'task_head']


def test_one_phase_a_stage_and_then_the_head():
    phases = Stagewise(phase_epochs=50, fraction=0.1).phases(STAGES)
    assert [phase.name for phase in phases] == STAGES
    # SKD, section 1: phase k trains stage k on the loss of spot k alone, without labels …
    for phase, spot in zip(phases[:-1], UNET_SPOTS, strict=True):
        assert (phase.train, phase.spots, phase.task) == ([spot], {spot: 1.0}, 0)
    # … and the head on the ground truth alone, without a teacher.
    assert (phases[-1].train, phases[-1].spots, phases[-1].task) == (['task_head'], {}, 1)
    for phase in phases:
        assert (phase.epochs, phase.fraction, phase.handover) == (50, 0.1, 'best')
        assert (phase.frozen_bn, phase.optimizer_params) == ('eval', 'trainable')


def test_the_head_can_be_something_else():
    phases = Stagewise(phase_epochs=1, head=dict(train=['decode_head.conv_seg'], epochs=3)).phases(STAGES)
    assert phases[-1].train == ['decode_head.conv_seg'] and phases[-1].epochs == 3
    assert phases[0].epochs == 1


def test_head_and_overrides_go_together():
    phases = Stagewise(phase_epochs=1, head=dict(epochs=3), overrides=dict(task_head=dict(fraction=0.5, epochs=2))
                       ).phases(STAGES)
    assert (phases[-1].epochs, phases[-1].fraction) == (3, 0.5)


def test_without_spots_there_is_nothing_to_walk_along():
    with pytest.raises(ValueError, match=r'no spots to walk along; name them in `model\.spots`'):
        Stagewise(phase_epochs=1).phases(['task_head'])


def test_spots_of_the_last_phase_alone():
    stages = [dict(name='layer1', spots=('layer1', )), dict(name='layer2', spots=('dist', )),
              dict(name='layer3', spots=('layer3', 'other')), dict(name='logits', spots=('cwd', )),
              dict(name='task_head')]
    recipe = Stagewise(phase_epochs=1, head_spots={'cwd': 3, 'other': 1, 'dist': 1})
    assert facts(recipe, stages) == [
        ('layer1', ['layer1'], {'layer1': 1}, 0), ('layer3', ['layer2', 'layer3'], {'layer3': 1}, 0),
        ('task_head', ['logits', 'task_head'], {'cwd': 3, 'other': 1, 'dist': 1}, 1)]
    recipe = Stagewise(phase_epochs=1, head_spots=['cwd'], head=dict(train=['all']))
    assert facts(recipe, stages)[-1] == ('task_head', ['all'], {'cwd': 1}, 1)
    with pytest.raises(ValueError, match=r"phase 'task_head'.*'cdw'.*'cwd'"):
        facts(Stagewise(phase_epochs=1, head_spots=['cdw']), stages)
    with pytest.raises(ValueError, match='no spots to walk along'):
        facts(Stagewise(phase_epochs=1, head_spots=['cwd']), stages[-2:])


def facts(recipe, stages):
    return [(phase.name, phase.train, phase.spots, phase.task) for phase in recipe.phases(stages)]


def test_backbone_first_learns_what_lies_behind_the_backbone_at_once():
    stages = ['backbone.layer1', 'backbone.layer2', 'decode_head.blocks.0', 'task_head']
    assert facts(BackboneFirst(phase_epochs=1), stages) == [
        ('backbone.layer1', ['backbone.layer1'], {'backbone.layer1': 1}, 0),
        ('backbone.layer2', ['backbone.layer2'], {'backbone.layer2': 1}, 0),
        ('task_head', ['decode_head.blocks.0', 'task_head'], {}, 1)]


def test_backbone_first_takes_elements_of_the_backbones_outputs():
    names = [name for name, *_ in facts(BackboneFirst(phase_epochs=1), ['backbone[0]', 'backbone[1]', 'task_head'])]
    assert names == ['backbone[0]', 'backbone[1]', 'task_head']


def test_the_head_of_backbone_first_can_differ():
    recipe = BackboneFirst(phase_epochs=5, head=dict(epochs=2, train=['decode_head.conv_seg']))
    *_, last = recipe.phases(['backbone.layer1', 'task_head'])
    assert (last.epochs, last.train) == (2, ['decode_head.conv_seg'])


def test_backbone_first_needs_a_spot_in_the_backbone():
    for stages in (['task_head'], ['decode_head.convs', 'task_head'], ['backbones.x', 'task_head']):
        with pytest.raises(ValueError, match=r"no spot in its backbone; `model\.spots='backbone'` puts one"):
            BackboneFirst(phase_epochs=1).phases(stages)


def test_the_backbone_is_known_by_the_module_of_a_spot_not_by_its_name():
    stages = [dict(name='first', spots=('first', ), module='backbone[0]'),
              dict(name='backbone.layer2', spots=('mse', 'at'), module='backbone.layer2'),
              dict(name='backbone_like', spots=('backbone_like', ), module='decode_head.blocks.0'),
              dict(name='task_head')]
    phases = BackboneFirst(phase_epochs=1).phases(stages)
    assert [phase.name for phase in phases] == ['first', 'backbone.layer2', 'task_head']
    assert phases[1].spots == {'mse': 1, 'at': 1}
    assert phases[2].train == ['backbone_like', 'task_head'] and not phases[2].spots


# The polish

LOGITS = [*UNET_SPOTS, 'logits', 'task_head']


def test_without_a_polish_the_logits_belong_to_the_head():
    phases = Stagewise(phase_epochs=1, logits='logits').phases(LOGITS)
    assert [phase.name for phase in phases] == STAGES
    assert phases[-1].train == ['logits', 'task_head'] and not phases[-1].spots


@pytest.mark.parametrize(('polish', 'logits', 'spots', 'task'), [
    ({}, None, dict.fromkeys(UNET_SPOTS, 1 / 11), 1 / 11),
    (dict(task=0), 'logits', dict.fromkeys([*UNET_SPOTS, 'logits'], 1 / 11), 0),
    (dict(task=2, logits=3, spots=[]), 'logits', dict(logits=1.5), 1),
    (dict(logits=0, spots={UNET_SPOTS[3]: 5}, average=False), 'logits', {UNET_SPOTS[3]: 5}, 1),
    (dict(logits=0, spots=[]), 'logits', {}, 1)])
def test_the_terms_of_a_polish(polish, logits, spots, task):
    phases = Stagewise(phase_epochs=5, logits=logits, polish=dict(polish, epochs=3), handover='last', fraction=0.5,
                       head=dict(epochs=2)).phases(LOGITS if logits else STAGES)
    assert [phase.name for phase in phases] == [*STAGES, 'polish']
    last = phases[-1]
    assert last.spots == pytest.approx(spots) and last.task == pytest.approx(task)
    assert (last.train, last.epochs, last.handover, last.fraction) == (['all'], 3, 'best', 0.5)
    assert [phase.validates_task for phase in phases] == [*[False] * 10, True, True]
    assert (phases[-2].epochs, phases[-2].task, phases[-2].handover) == (2, 1, 'last')


def test_a_polish_has_the_settings_of_a_phase():
    polish = dict(optim_wrapper=dict(a=1), train=['x'], handover='last', val_metric='spot_loss')
    recipe = Stagewise(phase_iters=5, polish=polish, overrides=dict(polish=dict(epochs=2)))
    last = recipe.phases(STAGES)[-1]
    assert (last.optim_wrapper, last.train) == (dict(a=1), ['x'])
    assert (last.handover, last.val_metric) == ('last', 'spot_loss')
    assert (last.epochs, last.iters) == (2, None)


@pytest.mark.parametrize(('polish', 'logits', 'words'), [
    (dict(spot=[]), None, "no setting 'spot'; did you mean 'spots'"),
    (dict(spots=['x']), None, "`polish`, `spots`: there is no spot 'x'"),
    (dict(logits=1), None, '`logits` needs the name of the spot'),
    (dict(task=0, spots=[]), None, 'nothing to learn from'),
    ({}, 'logit', "`logits`: there is no spot 'logit'; did you mean 'logits'")])
def test_a_polish_that_makes_no_sense(polish, logits, words):
    with pytest.raises(ValueError, match=words):
        Stagewise(phase_epochs=1, polish=polish, logits=logits).phases(LOGITS)


def test_backbone_first_with_a_polish():
    stages = ['backbone.layer1', 'backbone.layer2', 'decode_head.blocks.0', 'logits', 'task_head']
    phases = BackboneFirst(phase_epochs=1, logits='logits', polish=dict(task=0)).phases(stages)
    assert [phase.name for phase in phases] == ['backbone.layer1', 'backbone.layer2', 'task_head', 'polish']
    assert phases[2].train == ['decode_head.blocks.0', 'logits', 'task_head']
    assert phases[3].spots == pytest.approx(dict.fromkeys(['backbone.layer1', 'backbone.layer2', 'logits'], 1 / 3))


def test_few_labels():
    phases = FewLabels(phase_epochs=7, fraction=0.1).phases(LOGITS)
    assert [phase.name for phase in phases] == [*STAGES, 'polish']
    assert [phase.epochs for phase in phases] == [7] * 10 + [70, 14]
    assert [phase.with_data(True).data for phase in phases] == ['unlabelled'] * 10 + ['labelled', 'unlabelled']
    assert phases[-1].task == 0 and phases[-1].spots == pytest.approx(
        dict.fromkeys([*UNET_SPOTS, 'logits'], 1 / 11))
    phases = FewLabels(phase_iters=9, polish=dict(task=1, data='both'), head=dict(epochs=5)).phases(LOGITS)
    assert [(phase.epochs, phase.iters) for phase in phases[-3:]] == [(None, 9), (5, None), (None, 18)]
    assert phases[-1].data == 'both' and phases[-1].task == pytest.approx(1 / 12)
