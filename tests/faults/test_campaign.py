"""The short form of ``campaign.py``, and that it would see what it looks for."""

import subprocess
import sys

import pytest
import torch

from tests.helpers import config, train

pytestmark = pytest.mark.slow


def campaign(repo, *arguments):
    """Its last line, and all that it said."""
    done = subprocess.run([sys.executable, 'tests/faults/campaign.py', *map(str, arguments)], cwd=repo,
                          capture_output=True, text=True, timeout=900)
    assert done.stdout, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1], done.stdout + done.stderr[-3000:]


def test_runs_that_are_killed_end_in_the_same_weights(repo):
    line, said = campaign(repo, '--kills', 4, '--seed', 7, '--kinds', 'stagewise', 'moving average', 'cache on disk',
                          'router')
    assert line.endswith('differing=0') and int(line.split()[0][6:]) >= 4, said


def test_runs_of_two_processes_too(repo):
    line, said = campaign(repo, '--kills', 1, '--seed', 7, '--processes', 2, '--kinds', 'stagewise')
    assert line.endswith('differing=0'), said


def test_wrong_configs_are_explained(repo):
    line, said = campaign(repo, '--configs', 14, '--seed', 7)
    assert line == 'configs=14 unexplained=0', said


def test_a_difference_is_seen(tmp_path):
    from tests.faults.campaign import Kills
    schedule = dict(type='NoTeacher', phase_iters=2)
    for name in ('one', 'other'):
        train(config(tmp_path / name, schedule=schedule))
    assert not list(Kills.compare(tmp_path / 'one', tmp_path / 'other'))
    path = tmp_path / 'other/iter_2.pth'
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['optimizer']['state'][0]['exp_avg'].view(-1)[0] += 1e-7
    torch.save(checkpoint, path)
    assert "optimizer.state.0.exp_avg'] differ" in next(Kills.compare(tmp_path / 'one', tmp_path / 'other'))
    (tmp_path / 'other/best_mIoU_phase00_no_teacher.pth').unlink()
    assert 'the files are' in next(Kills.compare(tmp_path / 'one', tmp_path / 'other'))


@pytest.mark.parametrize(('message', 'explained'), [
    ('ended', True), ('message\ntrain: schedule.phase_epoch: …', True), ('message\ntrain: something else', False),
    ('traceback\nTypeError: schedule\n  File phase_epoch', False),
    ('traceback\nTypeError: no phase_epoch', True), ('hangs\nphase_epoch', False)])
def test_what_counts_as_an_explanation(message, explained):
    from tests.faults.campaign import Mutation, judge
    assert judge(message, Mutation(('schedule', 'phase_epochs'), '', {'phase_epochs', 'phase_epoch'})) == explained
