import pytest

from skd_mm.schedules import FitNets, NoTeacher, Simultaneous
from tests.helpers import UNET_SPOTS

STAGES = [*UNET_SPOTS, 'task_head']
LAYER2, BLOCK2 = 'backbone.layer2', 'decode_head.blocks.2'


def facts(recipe, stages=STAGES):
    return [(phase.name, phase.train, phase.spots, phase.task) for phase in recipe.phases(stages)]


@pytest.mark.parametrize('stages', [STAGES, ['task_head']])
def test_no_teacher_is_plain_training(stages):
    assert facts(NoTeacher(phase_epochs=1), stages) == [('no_teacher', ['all'], {}, 1.0)]


def test_simultaneous_is_the_mean_of_all_terms():
    (name, train, spots, task), = facts(Simultaneous(phase_epochs=1))
    assert name == 'simultaneous' and train == ['all']
    # (CE + the sum of ten MSEs) / 11
    assert spots == dict.fromkeys(UNET_SPOTS, 1 / 11) and task == 1 / 11


def test_the_traditional_baseline_of_the_segmentation_table():
    (_, train, spots, task), = facts(Simultaneous(phase_epochs=1, spots=[LAYER2, BLOCK2], average=False))
    assert (train, spots, task) == (['all'], {LAYER2: 1.0, BLOCK2: 1.0}, 1.0)


def test_some_spots_averaged():
    (_, _, spots, task), = facts(Simultaneous(phase_epochs=1, spots=[LAYER2]))
    assert (spots, task) == ({LAYER2: 0.5}, 0.5)


def test_weights_of_the_terms():
    weights = {LAYER2: 0.8, BLOCK2: 4}
    (_, train, spots, task), = facts(Simultaneous(phase_epochs=1, spots=weights, task=0.2, average=False))
    assert (train, spots, task) == (['all'], weights, 0.2)
    (_, _, spots, task), = facts(Simultaneous(phase_epochs=1, spots=weights, task=0.3))
    assert spots == pytest.approx({LAYER2: 0.8 / 3, BLOCK2: 4 / 3}) and task == pytest.approx(0.1)


@pytest.mark.parametrize(('spots', 'stages', 'words'), [
    ({'backbone.layer22': 1.0}, STAGES, "`spots`: there is no spot 'backbone.layer22'; did you mean"),
    (['backbone.layer22'], STAGES, "`spots`: there is no spot 'backbone.layer22'; did you mean 'backbone.layer2'"),
    ([], STAGES, r'no spots; name them in `model\.spots`'),
    (None, ['task_head'], r'no spots; name them in `model\.spots`')])
def test_simultaneous_needs_spots_that_are_there(spots, stages, words):
    with pytest.raises(ValueError, match=words):
        Simultaneous(phase_epochs=1, spots=spots).phases(stages)


def test_fitnets_with_one_hint_is_the_two_steps_of_the_classification_table():
    stages = ['stem', 'layer1', 'layer2', 'layer3', 'layer4', 'task_head']
    assert facts(FitNets(phase_epochs=1, hints='layer2'), stages) == [
        ('layer2', ['stem', 'layer1', 'layer2'], {'layer2': 1.0}, 0),
        ('task_head', ['layer3', 'layer4', 'task_head'], {}, 1.0)]


def test_fitnets_with_two_hints_is_the_three_phase_variant_for_segmentation():
    first, second, rest = facts(FitNets(phase_epochs=1, hints=[LAYER2, BLOCK2]))
    assert first == (LAYER2, ['backbone.stem', 'backbone.layer1', LAYER2], {LAYER2: 1.0}, 0)
    assert second == (BLOCK2, ['backbone.layer3', 'backbone.layer4', 'decode_head.blocks.0', 'decode_head.blocks.1',
                               BLOCK2], {BLOCK2: 1.0}, 0)
    assert rest == ('task_head', ['decode_head.blocks.3', 'decode_head.blocks.4', 'task_head'], {}, 1.0)


@pytest.mark.parametrize(('hints', 'words'), [
    ([BLOCK2, LAYER2], 'in the order of the forward'),
    ([LAYER2, LAYER2], 'in the order of the forward'),
    ([], 'in the order of the forward'),
    (['backbone.layer9'], "`hints`: there is no spot 'backbone.layer9'; did you mean 'backbone.layer"),
    (['task_head'], "there is no spot 'task_head'")])
def test_fitnets_needs_hints_that_are_there_and_in_order(hints, words):
    with pytest.raises(ValueError, match=words):
        FitNets(phase_epochs=1, hints=hints).phases(STAGES)


def test_what_is_prepared_comes_first():
    recipe = Simultaneous(phase_epochs=10, average=False, prepare=dict(spots=['c.teacher'], iters=7))
    first, second = recipe.phases(STAGES, [*STAGES[:-1], 'c.teacher'])
    assert (first.name, first.train, first.spots, first.task) == ('prepare', [], {'c.teacher': 1.0}, 0)
    assert (first.iters, first.epochs) == (7, None) and second.epochs == 10
    with pytest.raises(ValueError, match=r"`prepare`: there is no setting 'epoch'; did you mean 'epochs'"):
        Simultaneous(phase_epochs=1, prepare=dict(epoch=3))
    with pytest.raises(ValueError, match=r"phase 'prepare': there is no spot 'b.teacher'"):
        Simultaneous(phase_epochs=1, prepare=dict(spots=['b.teacher'])).phases(STAGES, [*STAGES[:-1], 'c.teacher'])


def test_a_discriminator_is_active_if_it_is_named():
    weights = {LAYER2: 10, f'{LAYER2}.discriminator': 0.001}
    first, = Simultaneous(phase_epochs=1, spots=weights, average=False).phases(
        STAGES, [*STAGES[:-1], f'{LAYER2}.discriminator'])
    assert first.spots == weights
    with pytest.raises(ValueError, match=r"there is no spot 'backbone.layer22'; did you mean 'backbone.layer2'"):
        Simultaneous(phase_epochs=1, spots=['backbone.layer22.discriminator']).phases(STAGES)
    with pytest.raises(ValueError, match=f"there is no spot '{BLOCK2}.discriminator'"):
        Simultaneous(phase_epochs=1, spots=[f'{BLOCK2}.discriminator']).phases(STAGES)
