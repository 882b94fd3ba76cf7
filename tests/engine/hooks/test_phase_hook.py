"""The hook with a stand-in for the Runner; whole runs are in ``test_phase_loop.py`` and among the integration tests."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EarlyStoppingHook, EMAHook
from torch import nn

from skd_mm.engine import PhaseHook


class Loop:
    state = dict(index=1, phase='b')
    distiller = SimpleNamespace(teacher=None)

    def state_dict(self):
        return dict(self.state)

    def load_state_dict(self, state):
        self.loaded = state


@pytest.fixture
def runner():
    early = [EarlyStoppingHook('a', rule='greater'), EarlyStoppingHook('b', rule='less')]
    ema = EMAHook()
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema.before_run(SimpleNamespace(model=model))
    hub = SimpleNamespace(log_scalars={'train/loss': 1, 'val/mIoU': 2, 'other': 3}, _resumed_keys={'val/mIoU': True})
    return SimpleNamespace(train_loop=Loop(), hooks=[PhaseHook(), *early, ema], _resume=True, model=model,
                           message_hub=hub)


def test_a_checkpoint_knows_its_phase_and_comes_back(runner):
    hook, greater, less, _ = runner.hooks
    greater.wait_count, greater.best_score = 2, 0.7
    less.wait_count, less.best_score = 1, 0.1
    checkpoint = {}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint['schedule']['phase'] == 'b'
    for stopping in (greater, less):
        stopping.wait_count, stopping.best_score = 0, 0.
    hook.after_load_checkpoint(runner, checkpoint)
    assert runner.train_loop.loaded['index'] == 1
    assert [(s.wait_count, s.best_score) for s in (greater, less)] == [(2, 0.7), (1, 0.1)]


def test_weights_alone_are_adapted_and_change_nothing_else(runner):
    runner._resume, runner.logger = False, None
    runner.train_loop.distiller = nn.ModuleDict(dict(student=nn.Linear(1, 1)))
    checkpoint = dict(nn.Linear(1, 1).state_dict())
    runner.hooks[0].after_load_checkpoint(runner, checkpoint)
    assert set(checkpoint['state_dict']) == {'student.weight', 'student.bias'}
    assert not hasattr(runner.train_loop, 'loaded')


def test_a_checkpoint_without_a_schedule_is_refused(runner):
    with pytest.raises(ValueError, match=r'was not written by a schedule; .*`load_from` without --resume'):
        runner.hooks[0].after_load_checkpoint(runner, {})


def test_a_phase_begins_anew(runner):
    hook, greater, less, ema = runner.hooks
    for stopping in (greater, less):
        stopping.wait_count, stopping.best_score = 3, 0.5
    ema.ema_model.steps.fill_(9)
    with torch.no_grad():
        for value in runner.model.state_dict().values():
            value.add_(1)
    hook.before_phase(runner)
    assert [(s.wait_count, s.best_score) for s in (greater, less)] == [(0, -float('inf')), (0, float('inf'))]
    assert ema.ema_model.steps == 0
    for name, value in runner.model.state_dict().items():
        assert torch.equal(ema.ema_model.module.state_dict()[name], value)
    assert ema.ema_model.module[0].weight is not runner.model[0].weight
    assert runner.message_hub.log_scalars == {'other': 3} and not runner.message_hub._resumed_keys


def test_it_is_asked_first():
    assert PhaseHook.priority == 'VERY_HIGH'
