import pytest

from skd_mm.schedules import ParallelStages, Phases
from tests.helpers import UNET_SPOTS

STAGES = [*UNET_SPOTS, 'task_head']


def test_one_phase_for_all_stages_then_the_head_and_the_polish():
    stages, head, polish = ParallelStages(phase_epochs=50, head=dict(epochs=30), polish=dict(epochs=20)).phases(STAGES)
    assert (stages.name, stages.train, stages.task, stages.epochs) == ('stages', UNET_SPOTS, 0, 50)
    assert stages.spots == dict.fromkeys(UNET_SPOTS, 1.0) and stages.teacher_forcing == UNET_SPOTS
    assert (head.name, head.train, head.spots, head.task, head.epochs) == ('task_head', ['task_head'], {}, 1, 30)
    assert (polish.name, polish.train, polish.epochs) == ('polish', ['all'], 20)
    assert not head.teacher_forcing and not polish.teacher_forcing


def test_spots_of_the_head_alone_are_not_among_the_stages():
    stages = [dict(name='layer1', spots=('layer1', )), dict(name='logits', spots=('logits', )), dict(name='task_head')]
    first, head = ParallelStages(phase_epochs=1, head_spots=['logits']).phases(stages)
    assert (first.train, first.teacher_forcing) == (['layer1'], ['layer1'])
    assert (head.train, list(head.spots)) == (['logits', 'task_head'], ['logits'])


def phase(**values):
    values = dict(dict(name='a', train='all', spots=['one', 'two']), **values)
    return Phases(phase_epochs=1, phases=[values]).phases(['one', 'two', 'task_head'])[0]


@pytest.mark.parametrize(('given', 'names'), [('all', ['one', 'two']), ('two', ['two']), (['one'], ['one'])])
def test_names_of_spots(given, names):
    assert phase(teacher_forcing=given).teacher_forcing == names


def test_only_active_spots():
    with pytest.raises(ValueError, match=r"phase 'a', `teacher_forcing`: there is no active spot 'tow'.*'two'"):
        phase(teacher_forcing=['tow'])
    with pytest.raises(ValueError, match=r"no active spot 'one'"):
        phase(spots=['two'], teacher_forcing=['one'])
