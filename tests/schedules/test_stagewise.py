import pytest

from skd_mm.schedules import BackboneFirst, Stagewise
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
