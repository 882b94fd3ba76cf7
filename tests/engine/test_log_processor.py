from types import SimpleNamespace

import pytest
from mmengine.runner import LogProcessor

from skd_mm.engine import PhaseLogProcessor


def runner(**loop):
    return SimpleNamespace(_train_loop=SimpleNamespace(**loop))


PHASE = dict(phase=SimpleNamespace(name='layer1'), index=1, phases=['a', 'layer1', 'c'], epoch=4)


def test_iterations_are_counted_whatever_is_asked_for():
    assert not PhaseLogProcessor(by_epoch=True).by_epoch
    assert PhaseLogProcessor(window_size=3).window_size == 3


@pytest.mark.parametrize('method', ['get_log_after_iter', 'get_log_after_epoch'])
@pytest.mark.parametrize('mode', ['train', 'val'])
def test_every_line_and_every_record_names_the_phase(monkeypatch, method, mode):
    monkeypatch.setattr(LogProcessor, method, lambda self, *args: (dict(loss=1.), 'Iter [1/9]'))
    tag, line = getattr(PhaseLogProcessor(), method)(runner(**PHASE), 0, mode)
    assert tag == dict(loss=1., phase='layer1', **(dict(epoch=5) if mode == 'train' else {}))
    assert line == '[2/3 layer1] Iter [1/9]'


def test_a_test_and_other_loops_have_no_phase(monkeypatch):
    monkeypatch.setattr(LogProcessor, 'get_log_after_epoch', lambda self, *args: (dict(x=1.), 'line'))
    assert PhaseLogProcessor().get_log_after_epoch(runner(**PHASE), 0, 'test') == (dict(x=1.), 'line')
    assert PhaseLogProcessor().get_log_after_epoch(runner(), 0, 'val') == (dict(x=1.), 'line')
