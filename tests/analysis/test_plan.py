"""What a run would do, in words and numbers; `tests/tools/test_train.py` has the dry run around it."""

import pytest

from skd_mm.analysis.config_model import build_model, config_images, config_phases, config_shape
from skd_mm.analysis.flops import schedule_cost, training_flops
from skd_mm.analysis.plan import plan
from tests.helpers import SPOTS, config, network

FACTOR = dict(name='factor', student=SPOTS[2], loss=dict(type='FTLoss'), connector=dict(type='Translator'),
              teacher_connector=dict(type='Paraphraser'), teacher_decoder=dict(type='ParaphraserDecoder'))
FLOW = dict(name='flow', student=SPOTS[:2], loss=dict(type='FSPLoss'), weight=2)
MODEL = dict(type='skd_mm.Distiller', student=network(), teacher=network(), spots=[FLOW, FACTOR])
SCHEDULE = dict(type='Phases', phase_iters=7, cache=1, phases=[
    dict(name='factor', train=[], spots=['factor.teacher'], epochs=2, fraction=0.5),
    dict(name='features', train='backbone', spots=['flow', 'factor'], handover='last'),
    dict(name='task', train='decode_head', task=0.5)])


@pytest.fixture
def cfg(tmp_path):
    return config(tmp_path, model=MODEL, schedule=SCHEDULE)


def test_each_phase_with_what_learns_from_what_and_from_where(cfg):
    one, two, three = plan(cfg).split('\n\n')[1:4]
    assert one.startswith('1/3 factor: 2 epochs, 6 of 12 images\n')
    assert ' parameters in its spots\n    spot     factor.teacher: MSELoss\n' in one and 'starts' not in one
    assert two.startswith('2/3 features: 7 iterations, 12 of 12 images\n')
    assert ('    spot     flow: student backbone.layers.0 4×12×12 + backbone.layers.1 4×12×12, teacher '
            'backbone.layers.0 4×12×12 + backbone.layers.1 4×12×12: FSPLoss, times 2\n'
            '    spot     factor: student backbone.layers.2 4×12×12 → Translator, teacher backbone.layers.2 4×12×12 → '
            'Paraphraser: FTLoss\n'
            '    starts   from the last weights of factor\n') in two and 'task' not in two
    assert 'in decode_head\n    task     the losses of the student, times 0.5\n    starts   from the best weights of ' \
        'features\n' in three


def test_where_the_student_goes_on_with_the_teachers_feature(tmp_path):
    cfg = config(tmp_path, schedule=dict(type='ParallelStages', phase_epochs=1))
    first, second = plan(cfg).split('\n\n')[1:3]
    lines = [line for line in first.split('\n') if "continues with the teacher's feature" in line]
    forced = [line.split(': ')[0].split()[-1] for line in lines]
    assert forced == SPOTS[:2]  # nothing reads the last one
    assert 'continues' not in second


def test_the_numbers_are_those_of_the_costs(cfg):
    lines = plan(cfg)
    distiller = build_model(cfg)
    phases, images = config_phases(cfg, distiller), config_images(cfg)
    costs = schedule_cost(distiller, phases, config_shape(cfg, distiller))
    for cost in costs:
        assert f'trains   {cost.trainable:,} parameters' in lines
        assert f'costs    {cost.truncated / 1e9:.3g} GFLOPs per image; {cost.cached / 1e9:.3g} if all' in lines
    assert any(cost.truncated != cost.cached for cost in costs)
    total = training_flops(costs, phases, images, 4)
    assert (f'In all {total.iterations:,} iterations of 4 images, {total.truncated / 1e12:.3g} TFLOPs, with the cache '
            f'{total.cached / 1e12:.3g}; validation') in lines


def test_without_data_the_numbers_of_images_are_left_out(cfg, monkeypatch):
    monkeypatch.setattr('skd_mm.analysis.plan.config_images', lambda cfg: None)
    lines = plan(cfg)
    assert 'of 12 images' not in lines
    assert lines.endswith('The data does not exist, so the number of images is unknown')


def test_a_config_without_a_schedule(cfg):
    cfg.pop('schedule')
    with pytest.raises(ValueError, match='there is nothing to plan: the config has no `schedule`'):
        plan(cfg)


def test_a_model_that_is_no_distiller(cfg):
    cfg.model = network()
    with pytest.raises(ValueError, match=r'a `schedule` needs a skd_mm\.Distiller as `model`, not a EncoderDecoder'):
        plan(cfg)
