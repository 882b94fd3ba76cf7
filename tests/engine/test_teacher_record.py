"""A resumed run has the teacher that it was started with."""

import os

import pytest
import torch
from mmengine.config import Config

from skd_mm.distillers.networks import load_weights
from skd_mm.engine.teacher_record import weights_digest
from tests.helpers import SPOTS, build_distiller, config, differing, last_checkpoint, network, train, train_killed


def write_teacher(path, seed):
    torch.save(dict(state_dict=build_distiller(network(), None, [], seed=seed).student.state_dict()), path)
    os.utime(path, (seed, seed))  # the newest one is that of the highest seed


def distillation(folder, pattern):
    teacher = dict(cfg=Config(dict(model=network(), default_scope='mmseg')), checkpoint=str(pattern))
    cfg = config(folder)
    cfg.model = dict(type='skd_mm.Distiller', student=network(), teacher=teacher, spots=SPOTS)
    return cfg


@pytest.fixture
def killed(tmp_path):
    """The config of a run that was killed in its second phase; its teacher is the newest of a pattern."""
    (tmp_path / 'teachers').mkdir()
    write_teacher(tmp_path / 'teachers/best_1.pth', 1)
    cfg = distillation(tmp_path / 'run', tmp_path / 'teachers/best_*.pth')
    train_killed(cfg, 'before_train_iter', 8)
    return cfg


def test_a_newer_match_of_a_pattern_does_not_change_the_teacher(tmp_path, killed):
    train(distillation(tmp_path / 'whole', tmp_path / 'teachers/best_1.pth'))
    write_teacher(tmp_path / 'teachers/best_2.pth', 2)
    runner = train(killed, resume=True)
    assert runner.model.teacher.checkpoint_file.endswith('best_1.pth')
    one, other = last_checkpoint(tmp_path / 'whole'), last_checkpoint(tmp_path / 'run')
    assert not differing(dict(one['state_dict']), dict(other['state_dict']))


def test_a_teacher_that_was_overwritten_is_refused(tmp_path, killed):
    write_teacher(tmp_path / 'teachers/best_1.pth', 2)
    with pytest.raises(ValueError, match=r'best_1\.pth is not the teacher that the run to resume was started with'):
        train(killed, resume=True)


def test_a_teacher_that_was_removed_is_refused(tmp_path, killed):
    write_teacher(tmp_path / 'teachers/best_2.pth', 2)
    (tmp_path / 'teachers/best_1.pth').unlink()
    with pytest.raises(ValueError, match=r'best_2\.pth is not the teacher .* that was .*best_1\.pth'):
        train(killed, resume=True)


def test_another_teacher_in_the_config_is_the_users_choice(tmp_path, killed):
    write_teacher(tmp_path / 'teachers/other.pth', 2)
    killed.model.teacher.checkpoint = str(tmp_path / 'teachers/other.pth')
    runner = train(killed, resume=True)
    assert runner.model.teacher.checkpoint_file.endswith('other.pth')


def test_the_first_process_resolves_a_pattern_for_all(tmp_path, monkeypatch):
    for seed in (1, 2):
        write_teacher(tmp_path / f'best_{seed}.pth', seed)
    teachers = [build_distiller(network(), None, [], seed=seed).student for seed in (1, 2, 3)]
    load_weights(teachers[2], str(tmp_path / 'best_*.pth'), 'teacher')
    assert weights_digest(teachers[2]) == weights_digest(teachers[1]) != weights_digest(teachers[0])
    # Another process, which sees another newest file.
    monkeypatch.setattr('skd_mm.utils.processes.is_main_process', lambda: False)
    monkeypatch.setattr('skd_mm.utils.processes.broadcast_object_list',
                        lambda values: values.__setitem__(0, str(tmp_path / 'best_1.pth')))
    load_weights(teachers[2], str(tmp_path / 'best_*.pth'), 'teacher')
    assert weights_digest(teachers[2]) == weights_digest(teachers[0])


def test_a_digest_depends_on_every_value():
    model = torch.nn.BatchNorm1d(2)
    before = weights_digest(model)
    model.running_mean[1] += 1e-6
    assert weights_digest(model) != before
