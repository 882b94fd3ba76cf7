import json

import pytest
import torch
from mmengine.config import Config
from torch import nn

from skd_mm.analysis import benchmark as module
from skd_mm.analysis.benchmark import BareLoop, Variant, _total, peak_memory, prepare_config
from tests.faults.campaign import KINDS
from tests.helpers import PIPELINE, RANDOM, SIDE, SPOTS, calls, config, differing, quick, state


@pytest.fixture
def cfg(tmp_path):
    return lambda **changes: prepare_config(config(tmp_path / 'config', **changes), str(tmp_path / 'run'))


def steps(variant, index, count=3):
    variant.begin(index)
    batches = [batch for _, batch in zip(range(count), variant.loop.dataloader, strict=False)]
    for batch in batches:
        variant.step(batch)
    return batches


@pytest.mark.parametrize('index', [0, 1, 3])
def test_the_bare_loop_does_the_mathematics_of_the_phase(cfg, index):
    """Which is what makes it a bound: the same weights come out of it."""
    changes = dict(param_scheduler=[], pipeline=PIPELINE)
    for cached in (False, True):
        with quick():
            variant = Variant(cfg(**changes), 1. if cached else 0)
        variant.begin(index)
        optimizer = variant.loop.runner.optim_wrapper.optimizer
        bare = BareLoop(variant.loop.distiller, optimizer, cached)
        batches = [batch for _, batch in zip(range(3), variant.loop.dataloader, strict=False)]
        copies = [dict(inputs=list(batch['inputs']), data_samples=[s.clone() for s in batch['data_samples']])
                  for batch in batches]
        for batch in batches:
            variant.step(batch)
        if cached:
            distiller = variant.loop.distiller
            for batch in copies:
                keys = module.sample_keys(batch['data_samples'], (3, SIDE, SIDE))
                bare.remember(batch, distiller.cache.get(keys), next(iter(distiller.pair._placeholders.values())))
        with bare.hooked(), calls(bare.teacher) as teacher:
            for batch in copies:
                bare.step(batch)
        assert bool(teacher) == (not cached and index < 3)
        assert not differing(state(variant.loop.distiller.student), state(bare.student))


def test_naive_runs_both_networks_to_their_ends_for_the_same_weights(cfg):
    found = []
    for naive in (False, True):
        with quick():
            variant = Variant(cfg(), 0, naive)
        with calls(variant.loop.distiller.teacher, variant.loop.distiller.student) as (teacher, student):
            steps(variant, 1)
        assert (teacher['backbone.layers.2'], student['backbone.layers.2']) == ((3, 3) if naive else (0, 0))
        found.append(state(variant.loop.distiller.student))
        variant.begin(3)
        variant.runner.model.eval()
        with calls(variant.loop.distiller.teacher) as teacher:
            variant.val_step(next(iter(variant.runner.val_loop.dataloader)))
        assert not teacher
    assert not differing(*found)


def test_a_whole_table(cfg, monkeypatch):
    said = []
    with quick():
        numbers = module.benchmark(cfg(schedule=dict(type='Stagewise', phase_epochs=2, val_interval=1)), iters=2,
                                   warmup=1, log=said.append)
    json.dumps(numbers)
    assert [phase['name'] for phase in numbers['phases']] == [*SPOTS, 'task_head'] and len(said) == 4
    for phase in numbers['phases']:
        for key in ('ms_naive', 'ms_truncated', 'ms_cached', 'ms_bare', 'gflop_naive', 'gflop_truncated',
                    'gflop_cached', 'peak_mib', 'ms_val_cached', 'ms_fill'):
            assert phase[key] > 0
        assert phase['gflop_naive'] > phase['gflop_truncated'] >= phase['gflop_cached']
        assert (phase['iterations'], phase['fill_iterations'], phase['val_iterations']) == (6, 3, 4)
    for key in ('ratio_truncated', 'ratio_cached', 'overhead', 'ratio_cached_with_validation', 'memory_ratio',
                'start_up_s', 'ms_loader'):
        assert isinstance(numbers['total'][key], float)


def test_without_compare_the_config_is_timed_as_it_is(cfg):
    with quick():
        numbers = module.benchmark(cfg(), iters=1, warmup=1, compare=False, phases=[SPOTS[1]], validation=False)
    assert [phase['name'] for phase in numbers['phases']] == [SPOTS[1]]
    assert not {'ms_naive', 'ms_cached', 'ms_val_truncated'} & numbers['phases'][0].keys()
    assert numbers['total']['ratio_truncated'] is None


@pytest.mark.parametrize('kind', ['router', 'adversary', 'contrastive memory', 'no teacher'])
def test_steps_of_all_kinds_are_timed(cfg, kind):
    """With a bare loop beside those alone that it has the mathematics of."""
    with quick():
        numbers = module.benchmark(cfg(**KINDS[kind]), iters=1, warmup=1, compare=False, validation=False)
    assert all(phase['ms_truncated'] > 0 for phase in numbers['phases'])
    assert any('ms_bare' in phase for phase in numbers['phases']) == ('overhead' in numbers['total']) == (
        kind == 'no teacher')


def test_random_images_are_not_cached(cfg):
    said = []
    with quick():
        numbers = module.benchmark(cfg(pipeline=RANDOM), iters=1, warmup=1, phases=[SPOTS[0]], validation=False,
                                   log=said.append)
    assert 'ms_cached' not in numbers['phases'][0] and 'RandomFlip' in said[0]


def test_a_phase_that_is_not_there(cfg):
    with pytest.raises(ValueError, match=r"no phase \['layer'\]"), quick():
        module.benchmark(cfg(), phases=['layer'])


def test_the_total_is_scaled_by_the_schedule_and_has_the_filling():
    phase = dict(iterations=100, ms_naive=10., ms_truncated=5., ms_cached=1., ms_bare=4., ms_bare_cached=0.5,
                 ms_fill=6., ms_fill_first=20., fill_iterations=4, overhead_ms_truncated=1., overhead_ms_cached=0.25,
                 val_iterations=50, val_fill_iterations=10, ms_val_naive=4., ms_val_truncated=2., ms_val_cached=1.,
                 ms_val_fill=3.)
    total = _total([phase, dict(phase, iterations=300, fill_iterations=0)])
    naive, cached = 400 * 10, (20 + 3 * 6 + 96 * 1) + 300 * 1
    assert total['seconds_naive'] == pytest.approx(naive / 1e3)
    assert total['ratio_truncated'] == pytest.approx(2)
    assert total['ratio_cached'] == pytest.approx(naive / cached)
    assert total['ratio_cached_with_validation'] == pytest.approx((naive + 100 * 4) / (cached + 2 * (40 + 10 * 3)))
    assert (total['overhead'], total['overhead_cached']) == (pytest.approx(0.25), pytest.approx(0.5))


def test_data_that_grows_out_of_memory(cfg):
    said = []
    with quick():
        found = module.scaling(cfg(images=32, schedule=dict(type='Stagewise', phase_epochs=2, fraction=0.25)), [1, 4],
                              SPOTS[1], log=said.append)
        with pytest.raises(ValueError, match='did you mean'):
            module.scaling(cfg(), [1], 'backbone.layers.9')
    assert [entry['images'] for entry in found] == [8, 32] and len(said) == 2
    assert found[0]['memory_mib'] > 0 == found[0]['disk_mib']
    assert found[1]['memory_mib'] <= found[0]['memory_mib'] and found[1]['disk_mib'] > 2 * found[0]['memory_mib']
    assert found[0]['against_linear'] == 1 and found[1]['ms_an_image'] > 0


def test_peak_memory_is_what_a_step_holds_at_once():
    model = nn.Linear(2, 2)
    held = torch.zeros(2**20)

    def step():
        for _ in range(5):
            one = torch.zeros(2**20)
            other = one + held
            del one, other
        model(torch.zeros(1, 2))

    assert peak_memory(step) == pytest.approx(8, abs=0.1)


def test_models_need_no_checkpoints(tmp_path):
    cfg = prepare_config(Config(dict(schedule=dict(type='NoTeacher'), model=dict(
        student=dict(cfg='a.py', checkpoint='nowhere.pth'), teacher=dict(cfg='b.py', checkpoint='nowhere.pth')))),
        str(tmp_path))
    assert cfg.model.teacher.checkpoint is None and cfg.model.student.checkpoint is None
    with pytest.raises(ValueError, match='no `schedule`'):
        prepare_config(Config(dict(model={})), '')
