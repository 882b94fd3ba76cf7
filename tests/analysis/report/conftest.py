"""Trained toy runs: a teacher, a student without it, and one that was trained stage by stage."""

import pytest
from mmengine.registry import DefaultScope

from skd_mm.analysis.run_files import best_checkpoint
from tests.helpers import config, network, train


def train_into(folder, cfg):
    """Trains, and writes the config as MMEngine does (the toy runs skip that)."""
    train(cfg)
    cfg.dump(folder / 'toy.py')


@pytest.fixture(scope='session')
def runs(tmp_path_factory):
    """The folder of the three work directories."""
    root = tmp_path_factory.mktemp('runs')
    alone = dict(type='NoTeacher', phase_epochs=2, val_interval=1)
    for name, width in (('teacher', 8), ('baseline', 4)):
        model = dict(type='skd_mm.Distiller', student=network(width), spots=[])
        train_into(root / name, config(root / name, schedule=alone, model=model))
    teacher = dict(network(8), checkpoint=str(best_checkpoint(root / 'teacher')))
    model = dict(type='skd_mm.Distiller', student=network(), teacher=teacher,
                 spots=[
        dict(student=f'backbone.layers.{i}', connector='auto') for i in (0, 2)])
    train_into(root / 'stagewise', config(root / 'stagewise', model=model))
    DefaultScope._instance_dict.clear()
    return root
