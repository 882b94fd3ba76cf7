"""The examples of the how-to pages are executed as they stand there."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import VISBACKENDS, init_default_scope

from skd_mm.distillers.networks import find_config, read_config
from skd_mm.registry import LOSSES, MODELS
from tests.helpers import config, log_lines, network, train
from tests.test_docs import blocks

HOWTO = Path(__file__).resolve().parents[1] / 'docs' / 'howto'
COMPONENTS, DATA, TRAINING, MODEL_PAIRS = (blocks(HOWTO / f'{name}.md', 'python')
                                           for name in ('components', 'data', 'training', 'models'))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Trains a toy config with the settings of an example; ``spots`` are those of its model."""
    monkeypatch.chdir(tmp_path)

    def call(text, changes=None, module=None, **top):
        if module is not None:
            (tmp_path / re.match(r'# (\w+\.py)\n', module)[1]).write_text(module)
        (tmp_path / 'example.py').write_text(text.replace('backbone.layer2', 'backbone.layers.1'))
        cfg = config(tmp_path / 'work', schedule=dict(type='Stagewise', phase_epochs=1), **top)
        example = read_config(str(tmp_path / 'example.py')).to_dict()
        if 'spots' in example:
            cfg.model.spots = example.pop('spots')
        for key, value in example.items():
            cfg[key] = value
        if 'checkpoint' in cfg.default_hooks:  # which a config inherits from its base
            cfg.default_hooks.checkpoint.type = 'skd_mm.PhaseCheckpointHook'
        cfg.merge_from_dict(changes or {})
        return train(cfg)

    return call


def test_a_loss_of_ones_own(run, tmp_path):
    run(COMPONENTS[1], module=COMPONENTS[0])
    losses = [line['loss'] for line in log_lines(tmp_path / 'work') if line.get('phase') == 'backbone.layers.1'
              and 'iter' in line]
    assert len(losses) == 3 and all(np.isfinite(losses))
    assert LOSSES.get('HuberLoss')(0.5).delta == 0.5


def test_a_connector_of_ones_own(run):
    runner = run(COMPONENTS[3], {'model.teacher': dict(network(8), _delete_=True)}, COMPONENTS[2])
    spot, = runner.model.spots.values()
    layers = spot.connector[0].layers
    assert layers[0].in_channels == 4 and layers[2].out_channels == 8


def test_a_recipe_of_ones_own(run, tmp_path):
    run(COMPONENTS[5], module=COMPONENTS[4])
    iterations = [line['phase'] for line in log_lines(tmp_path / 'work') if 'iter' in line]
    assert iterations == ['features'] * 3 + ['task'] * 6


def test_a_metric_of_ones_own(run, tmp_path):
    run(COMPONENTS[7], module=COMPONENTS[6])
    measured = [line['pixels/accuracy'] for line in log_lines(tmp_path / 'work') if 'pixels/accuracy' in line]
    assert measured and 0 <= measured[0] <= 100
    assert list((tmp_path / 'work').glob('best_pixels_accuracy_*.pth'))


def test_a_backbone_of_ones_own(run, tmp_path):
    text = MODEL_PAIRS[2].replace('model = dict(', 'whole = dict(')
    (tmp_path / 'my_backbone.py').write_text(MODEL_PAIRS[1])
    init_default_scope('mmseg')
    (tmp_path / 'example.py').write_text(text)
    model = MODELS.build(read_config(str(tmp_path / 'example.py')).whole)
    assert model.stage_names() == ['backbone.stage1', 'backbone.stage2', 'task_head']


def test_the_pair_of_the_zoos_exists(tmp_path):
    (tmp_path / 'pair.py').write_text(MODEL_PAIRS[0])
    cfg = Config.fromfile(tmp_path / 'pair.py')
    assert cfg.model.student.type == 'EncoderDecoder' and Path(find_config(cfg.model.teacher.cfg)).is_file()


def write_images(folder, count):
    rng = np.random.default_rng(0)
    for name, top in (('images', 255), ('labels', 3), ('more_images', 255)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            shape = (32, 64) if name == 'labels' else (32, 64, 3)
            cv2.imwrite(str(folder / name / f'{i}.png'), rng.integers(0, top, shape, dtype=np.uint8))


def test_data_of_ones_own_with_unlabelled_images(run, tmp_path):
    write_images(tmp_path / 'my_data', 8)
    side = {f'model.{role}.data_preprocessor.size': (32, 64) for role in ('teacher', 'student')}
    run(DATA[0] + DATA[1], side)
    lines = [line['phase'] for line in log_lines(tmp_path / 'work') if 'iter' in line]
    # Four batches of two unlabelled images in each phase without labels; eight labelled ones, twice, in the last one.
    assert [lines.count(f'backbone.layers.{i}') for i in range(3)] == [4] * 3 and lines.count('task_head') == 8


def test_soft_labels_in_the_head_phase(run, tmp_path):
    run(TRAINING[0])
    lines = [line for line in log_lines(tmp_path / 'work') if 'iter' in line]
    assert list(dict.fromkeys(line['phase'] for line in lines)) == [
        'backbone.layers.0', 'backbone.layers.2', 'task_head']
    assert 'spots.logits.loss' in lines[-1] and 'decode.loss_ce' in lines[-1]


def test_backends_of_the_visualizer_exist():
    for text in TRAINING[1:3]:
        namespace = {}
        exec(text, namespace)
        for backend in namespace['visualizer']['vis_backends']:
            assert VISBACKENDS.get(backend['type']) is not None
