import os
import re

import pytest
import torch

from skd_mm.analysis import run_files


def test_the_best_checkpoint_is_that_of_the_last_phase(tmp_path):
    for name in ('iter_9.pth', 'best_score_phase01_b.pth', 'best_score_phase00_a.pth'):
        torch.save(dict(state_dict={}), tmp_path / name)
    (tmp_path / 'last_checkpoint').write_text('iter_9.pth')
    assert run_files.best_checkpoint(tmp_path).name == 'best_score_phase00_a.pth'  # the newest one
    best = {name: dict(file=f'best_score_phase0{i}_{name}.pth') for i, name in enumerate('ab')}
    torch.save(dict(state_dict={}, best=best, schedule=dict(phases=['a', 'b'])), tmp_path / 'iter_9.pth')
    assert run_files.best_checkpoint(tmp_path).name == 'best_score_phase01_b.pth'
    torch.save(dict(state_dict={}, best={}, schedule=dict(phases=['a', 'b'])), tmp_path / 'iter_9.pth')
    assert run_files.best_checkpoint(tmp_path).name == 'iter_9.pth'


def test_a_run_without_best_checkpoints(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_2.pth')
    assert run_files.best_checkpoint(tmp_path) == tmp_path / 'epoch_2.pth'


def test_the_newest_file(tmp_path):
    for name, time in (('a.json', 30), ('b.json', 10), ('c.txt', 50)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    assert run_files.newest(tmp_path, '*.json').name == 'a.json'


@pytest.mark.parametrize(('weights', 'same'), [
    (dict(w=torch.ones(2)), True), (dict(w=torch.zeros(2)), False), (dict(w=torch.ones(2), v=torch.ones(1)), False)])
def test_checkpoints_with_the_same_weights(tmp_path, weights, same):
    torch.save(dict(state_dict=dict(w=torch.ones(2)), iter=1), tmp_path / 'a.pth')
    torch.save(dict(state_dict=weights, iter=2), tmp_path / 'b.pth')
    assert run_files.same_weights(tmp_path / 'a.pth', tmp_path / 'b.pth') is same
    assert run_files.same_weights(tmp_path / 'a.pth', tmp_path / 'a.pth')


def test_the_commit_of_the_checkout(monkeypatch):
    assert re.fullmatch(r'[0-9a-f]{40}(-dirty)?', run_files.find_commit())
    monkeypatch.setenv('PATH', '/nowhere')
    assert run_files.find_commit() is None
