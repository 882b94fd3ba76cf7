from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub
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


def test_metrics_of_a_validation_are_no_means_and_losses_of_training_are():
    hub = MessageHub('test_log_processor')
    for mode, name in (('train', 'loss'), ('train', 'spots.a.loss'), ('val', 'spot_loss'), ('val', 'spots.a.loss'),
                       ('val', 'mIoU'), ('val', 'time')):
        for value in (0.1, 0.3):
            hub.update_scalar(f'{mode}/{name}', value)
    one = SimpleNamespace(message_hub=hub)
    processor = PhaseLogProcessor()
    assert processor._collect_scalars([], one, 'val') == pytest.approx(
        {'spot_loss': 0.3, 'spots.a.loss': 0.3, 'mIoU': 0.3, 'time': 0.2})
    assert processor._collect_scalars([], one, 'train') == pytest.approx({'loss': 0.2, 'spots.a.loss': 0.2})
