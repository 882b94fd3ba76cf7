"""Checks of loops, evaluators, hooks and visualizers."""

import importlib.util

import pytest

from skd_mm.config import ConfigError, check_config
from tests.helpers import config, network


def refused(cfg):
    """The errors of a config, line by line."""
    with pytest.raises(ConfigError) as caught:
        check_config(cfg)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(('key', 'line'), [
    ('val_cfg', "val_cfg is missing, which val_dataloader and val_evaluator cannot be used without; for example "
     "val_cfg = dict(type='ValLoop')"),
    ('val_evaluator', 'val_evaluator is missing, which val_dataloader and val_cfg cannot be used without'),
    ('optim_wrapper', 'optim_wrapper is missing, which train_dataloader cannot be used without; for example '
     "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))")])
def test_a_loop_that_lacks_a_part_is_one_line(tmp_path, key, line):
    cfg = config(tmp_path)
    cfg.pop(key)
    assert refused(cfg) == [line]


def test_a_plain_config_needs_a_training_loop_and_a_schedule_brings_its_own(tmp_path):
    cfg = config(tmp_path)
    cfg.pop('train_cfg')
    assert check_config(cfg) == []
    cfg = config(tmp_path, model=network())
    for key in ('schedule', 'train_cfg'):
        cfg.pop(key)
    assert refused(cfg) == ['train_cfg is missing, which train_dataloader and optim_wrapper cannot be used without; '
                            "for example train_cfg = dict(type='IterBasedTrainLoop', max_iters=80000)"]


@pytest.mark.parametrize(('installed', 'lines'), [
    (True, []),
    (False, ['visualizer.vis_backends[1]: a TensorboardVisBackend needs the package tensorboard, which is not '
             'installed: pip install tensorboard'])])
def test_the_package_of_a_visualization_backend_is_looked_for(tmp_path, monkeypatch, installed, lines):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: installed or None if name == 'tensorboard' else find_spec(name))
    cfg = config(tmp_path, {'visualizer.vis_backends': [dict(type='LocalVisBackend'),
                                                        dict(type='TensorboardVisBackend')]})
    assert (refused(cfg) if lines else check_config(cfg)) == lines
