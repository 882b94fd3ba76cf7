"""The measurements of a whole config."""

import json

import pytest
from mmengine.config import Config

from skd_mm.analysis.benchmark import benchmark, prepare_config
from tests.faults.campaign import KINDS
from tests.helpers import RANDOM, SPOTS, quick


def test_a_whole_table(cfg):
    said = []
    with quick():
        numbers = benchmark(cfg(schedule=dict(type='Stagewise', phase_epochs=2, val_interval=1)), iters=2,
                            warmup=1, log=said.append)
    json.dumps(numbers)
    assert [phase['name'] for phase in numbers['phases']] == [*SPOTS, 'task_head'] and len(said) == 4
    for phase in numbers['phases']:
        for key in ('ms_naive', 'ms_truncated', 'ms_cached', 'ms_bare', 'gflop_naive', 'gflop_truncated',
                    'gflop_cached', 'peak_mib', 'ms_val_cached', 'ms_fill'):
            assert phase[key] > 0
        assert phase['gflop_truncated'] >= phase['gflop_cached']
        # In the head's phase, the naive variant runs no teacher and has nothing to truncate.
        assert (phase['gflop_naive'] > phase['gflop_truncated']) == (phase['name'] != 'task_head')
        assert (phase['iterations'], phase['fill_iterations'], phase['val_iterations']) == (6, 3, 4)
    for key in ('ratio_truncated', 'ratio_cached', 'overhead', 'ratio_cached_with_validation', 'memory_ratio',
                'start_up_s', 'ms_loader'):
        assert isinstance(numbers['total'][key], float)


def test_without_compare_the_config_is_timed_as_it_is(cfg):
    with quick():
        numbers = benchmark(cfg(), iters=1, warmup=1, compare=False, phases=[SPOTS[1]], validation=False)
    assert [phase['name'] for phase in numbers['phases']] == [SPOTS[1]]
    assert not {'ms_naive', 'ms_cached', 'ms_val_truncated'} & numbers['phases'][0].keys()
    assert numbers['total']['ratio_truncated'] is None


@pytest.mark.parametrize('kind', ['router', 'adversary', 'contrastive memory', 'no teacher'])
def test_steps_of_all_kinds_are_timed(cfg, kind):
    """A reference is timed with those whose mathematics it has."""
    with quick():
        numbers = benchmark(cfg(**KINDS[kind]), iters=1, warmup=1, compare=False, validation=False)
    assert all(phase['ms_truncated'] > 0 for phase in numbers['phases'])
    assert any('ms_bare' in phase for phase in numbers['phases']) == ('overhead' in numbers['total']) == (
        kind == 'no teacher')


def test_random_images_are_not_cached(cfg):
    said = []
    with quick():
        numbers = benchmark(cfg(pipeline=RANDOM), iters=1, warmup=1, phases=[SPOTS[0]], validation=False,
                            log=said.append)
    assert 'ms_cached' not in numbers['phases'][0] and 'RandomFlip' in said[0]


def test_a_phase_that_is_not_there(cfg):
    with pytest.raises(ValueError, match="there is no phase 'layer'"), quick():
        benchmark(cfg(), phases=['layer'])


def test_models_need_no_checkpoints(tmp_path):
    cfg = prepare_config(Config(dict(schedule=dict(type='NoTeacher'), model=dict(
        student=dict(cfg='a.py', checkpoint='nowhere.pth'), teacher=dict(cfg='b.py', checkpoint='nowhere.pth')))),
        str(tmp_path))
    assert cfg.model.teacher.checkpoint is None and cfg.model.student.checkpoint is None
    with pytest.raises(ValueError, match='no `schedule`'):
        prepare_config(Config(dict(model={})), '')
