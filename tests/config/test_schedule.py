"""Checks of a schedule's phases."""

import pytest

from skd_mm.config import ConfigError, check_config
from tests.helpers import SPOTS, config, network


def phases(**values):
    return dict(type='Phases', phase_epochs=1, phases=[dict(dict(name='x', task=1), **values)])


def without_spots(tmp_path, schedule, spots=()):
    return config(tmp_path, schedule=schedule, model=dict(
        type='skd_mm.Distiller', student=network(), teacher=network(), spots=list(spots)))


def refused(cfg):
    with pytest.raises(ConfigError) as caught:
        check_config(cfg)
    return str(caught.value)


@pytest.mark.parametrize(('schedule', 'path'), [
    (phases(train='task_head'), 'schedule.phases[0]'), (phases(train=['task_head']), 'schedule.phases[0]'),
    (dict(type='NoTeacher', phase_epochs=1, overrides=dict(no_teacher=dict(train=['task_head']))),
     'schedule.overrides.no_teacher')])
def test_the_task_head_without_spots_is_refused(tmp_path, schedule, path):
    assert refused(without_spots(tmp_path, schedule)).startswith(
        f"{path}.train: 'task_head' is the part of the student after the last spot, and model.spots is empty: write "
        "'all'")
    if schedule['type'] == 'Phases':
        assert check_config(without_spots(tmp_path, schedule, SPOTS)) == []


def test_what_else_is_trained_without_spots_is_left_alone(tmp_path):
    assert check_config(without_spots(tmp_path, phases(train=['decode_head']))) == []
    assert check_config(without_spots(tmp_path, dict(type='NoTeacher', phase_epochs=1))) == []


@pytest.mark.parametrize(('schedule', 'path', 'owner'), [
    (dict(type='Stagewise', phase_epochs=1, train_dataloader=dict(batch_size=2)), 'schedule', 'a Stagewise schedule'),
    (phases(train='all', train_dataloader=dict(batch_size=2)), 'schedule.phases[0]', 'a phase')])
def test_a_key_of_the_runner_belongs_to_the_top_level(tmp_path, schedule, path, owner):
    assert refused(config(tmp_path, schedule=schedule)) == (
        f"{path}.train_dataloader: {owner} takes no 'train_dataloader'; it belongs to the top level of the config")
