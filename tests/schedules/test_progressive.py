import pytest

from skd_mm.schedules import Progressive, Stagewise

LAYERS = ['layer1', 'layer2', 'layer3']
STAGES = [*LAYERS, 'fc', 'task_head']


def facts(phases):
    return [(phase.name, phase.train, phase.spots, phase.task, phase.fraction) for phase in phases]


def build(**changes):
    return Progressive(**dict(phase_epochs=1, logits='fc') | changes).phases(STAGES)


def test_weights_and_data_change_along_a_line():
    assert facts(build(spot=[1, 0.25], soft_labels=[0.1, 0.7], task=[0.3, 0], fraction=[0.25, 1])) == [
        ('layer1', STAGES, {'layer1': 1, 'fc': pytest.approx(0.1)}, pytest.approx(0.3), 0.25),
        ('layer2', STAGES[1:], {'layer2': 0.75, 'fc': pytest.approx(0.3)}, pytest.approx(0.2), 0.5),
        ('layer3', STAGES[2:], {'layer3': 0.5, 'fc': pytest.approx(0.5)}, pytest.approx(0.1), 0.75),
        ('fc', ['fc'], {'fc': pytest.approx(0.7)}, 0, 1)]


def test_one_value_a_phase_and_one_for_all():
    phases = build(spot=[4, 3, 2, 0], soft_labels=0.5, task=1)
    assert [phase.spots for phase in phases] == [
        {'layer1': 4, 'fc': 0.5}, {'layer2': 3, 'fc': 0.5}, {'layer3': 2, 'fc': 0.5}, {'fc': 0.5}]
    assert {phase.task for phase in phases} == {phase.fraction for phase in phases} == {1}


def test_by_default_the_labels_come_in_by_and_by():
    first, *_, last = facts(build())
    # If only the spot is active, nothing after it can be trained; a loss with weight 0 is not computed.
    assert first == ('layer1', ['layer1'], {'layer1': 1}, 0, 1)
    assert last == ('fc', ['fc', 'task_head'], {'fc': 1}, 1, 1)


def test_two_phases_have_a_first_and_a_last():
    phases = Progressive(phase_epochs=1, logits='fc', task=[0.25, 1]).phases(['layer1', 'fc', 'task_head'])
    assert [phase.task for phase in phases] == [0.25, 1]


def test_the_fraction_of_the_last_phase_is_what_was_given_to_the_bit():
    for tenth in range(1, 10):
        assert build(fraction=[tenth / 10, 1])[-1].fraction == 1


def test_stagewise_is_a_special_case():
    own = Progressive(phase_epochs=1, logits='fc', soft_labels=0, task=[0, 0, 0, 1]).phases(STAGES)
    other = Stagewise(phase_epochs=1).phases([*LAYERS, 'task_head'])
    assert facts(own)[:-1] == facts(other)[:-1]
    assert (own[-1].train, own[-1].spots, own[-1].task) == (['fc', 'task_head'], {}, 1)


def test_single_phases_can_differ():
    assert [phase.fraction for phase in build(fraction=0.5, overrides={'layer2': dict(fraction=1)})] == [.5, 1, .5, .5]


@pytest.mark.parametrize(('changes', 'words'), [
    (dict(logits='fcc'), "`logits`: there is no spot 'fcc'; did you mean 'fc'"),
    (dict(logits='layer2'), "`logits`: 'layer2' is not the last spot, 'fc' is"),
    (dict(spot=[1, 2, 3]), r'`spot` is a number, a list of two .* each of the 4 phases, not \[1, 2, 3\]'),
    (dict(task=[1, -1]), r'`task` must not be negative, as in \[1, -1\]'),
    (dict(soft_labels=0, task=0), 'nothing to learn from'),
    (dict(fraction=[0, 1]), '`fraction` must be in'),
    (dict(soft_label=1), "no setting 'soft_label'; did you mean 'soft_labels'")])
def test_wrong_arguments(changes, words):
    with pytest.raises(ValueError, match=words):
        build(**changes)
