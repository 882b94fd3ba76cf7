"""Configs with a schedule, started by tools that ignore it, such as mmsegmentation's own tools/train.py."""

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from tests.helpers import SPOTS, build_distiller, config, network

LOOP = dict(type='IterBasedTrainLoop', max_iters=1, val_interval=1)


def train(cfg):
    """Trains as the model zoos' own tools do."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test_a_loop_that_ignores_the_schedule_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match='train_cfg: this training loop ignores the `schedule` of the config'):
        train(config(tmp_path, train_cfg=LOOP))
    assert not list(tmp_path.glob('*.pth'))


def test_without_a_schedule_a_distiller_is_trained_by_any_loop(tmp_path):
    cfg = config(tmp_path, train_cfg=LOOP, param_scheduler=[])
    cfg.pop('schedule')
    assert train(cfg).iter == 1


def test_a_scheduled_run_leaves_later_distillers_alone(tmp_path):
    train(config(tmp_path, schedule=dict(type='NoTeacher', phase_iters=1),
                 model=dict(type='skd_mm.Distiller', student=network(), spots=[])))
    build_distiller(spots=SPOTS).init_weights()


@pytest.mark.parametrize('name', ['pspnet-r101_pspnet-r18_cityscapes.py', 'resnet34_resnet18_in1k.py'])
def test_the_examples_bring_the_loop_that_follows_their_schedule(repo, name):
    assert Config.fromfile(repo / 'configs/examples' / name).train_cfg == dict(type='skd_mm.PhaseLoop')
