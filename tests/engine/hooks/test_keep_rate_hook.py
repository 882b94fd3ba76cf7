import pytest
import torch

from skd_mm.analysis.keep_rates import keep_rates
from skd_mm.analysis.logs import read_run
from tests.helpers import SPOTS, config, log_lines, network, train

LOGITS = dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'))
MODEL = dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=[*SPOTS, LOGITS])
SCHEDULE = dict(type='Simultaneous', phase_epochs=3, average=False)


def test_keep_rates_are_logged_as_means_and_drawn(tmp_path):
    router = dict(gate='random', keep={'logits': 1.0, SPOTS[0]: 0.0})
    cfg = config(tmp_path, {'log_processor.window_size': 3}, model=dict(MODEL, router=router), schedule=SCHEDULE)
    train(cfg)
    lines = [line for line in log_lines(tmp_path) if 'router.keep.logits' in line]
    assert len(lines) == 9
    for spot, rate in router['keep'].items():
        assert {line[f'router.keep.{spot}'] for line in lines} == {rate}
    # batches of 4 have multiples of 1/4, means over three of them others
    values = [line[f'router.keep.{SPOTS[1]}'] for line in lines]
    assert any(value * 4 % 1 for value in values)
    assert (tmp_path / 'keep_rates.png').stat().st_size > 10000
    rates = keep_rates(read_run(tmp_path).spans()[0])
    assert list(rates) == [*SPOTS, 'logits'] and list(rates['logits']) == [1, 2, 3]


def test_without_a_router_there_is_no_picture(tmp_path):
    runner = train(config(tmp_path, model=dict(MODEL), schedule=SCHEDULE))
    assert not (tmp_path / 'keep_rates.png').exists()
    assert not [hook for hook in runner.hooks if type(hook).__name__ == 'KeepRateHook']


def test_a_picture_that_cannot_be_drawn_ends_no_run(tmp_path, caplog):
    cfg = config(tmp_path, model=dict(MODEL, router=dict(gate='never')), schedule=SCHEDULE,
                 visualizer=dict(type='Visualizer', vis_backends=[]))
    train(cfg)
    assert not (tmp_path / 'keep_rates.png').exists()


@pytest.mark.parametrize('gate', ['policy', 'anti'])
def test_a_phase_that_is_not_routed_may_come_before(tmp_path, gate):
    spot = dict(name='factor', student=SPOTS[2], loss=dict(type='FTLoss'), connector=dict(type='Translator'),
                teacher_connector=dict(type='Paraphraser'), teacher_decoder=dict(type='ParaphraserDecoder'))
    cfg = config(tmp_path, model=dict(MODEL, spots=[spot, LOGITS], router=dict(gate=gate)),
                 schedule=dict(SCHEDULE, prepare=dict(spots=['factor.teacher'], epochs=1)))
    train(cfg)
    phases = {line['phase'] for line in log_lines(tmp_path) if 'router.keep.factor' in line}
    assert phases == {'simultaneous'}
    assert read_run(tmp_path).spans()[-1].name == 'simultaneous'
    assert torch.isfinite(torch.tensor([line['loss'] for line in log_lines(tmp_path) if 'loss' in line])).all()
