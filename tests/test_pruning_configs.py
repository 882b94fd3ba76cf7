"""The configs of pruning load, build, and are what their names say."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from skd_mm.analysis.config_model import build_model
from skd_mm.analysis.flops import network_cost
from skd_mm.config import check_config
from skd_mm.distillers.networks import build_network
from skd_mm.registry import RECIPES, build

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / 'pruning').rglob('*.py'))
SHARES = dict(half=0.5, quarter=0.25)
RECIPE = {'skd': 'Stagewise', 'skd-polish': 'Stagewise', 'simultaneous': 'Simultaneous', 'fine-tuning': 'NoTeacher',
          'no-teacher': 'NoTeacher'}
# Pruning takes seconds; the other configs differ from these in the recipe or the share.
BUILT = ('skd-quarter_unet', 'skd-half_resnet20', 'fine-tuning-half')


@pytest.mark.parametrize('name', NAMES)
def test_a_config_is_what_its_name_says(name):
    cfg = Config.fromfile(CONFIGS / name)
    check_config(cfg)
    method, network, settings, data = Path(name).stem.split('_')
    recovery, _, share = method.rpartition('-')
    batch, length = re.fullmatch(r'1xb(\d+)-(\d+)e', settings).groups()
    assert (cfg.train_dataloader.batch_size, cfg.schedule.phase_epochs) == (int(batch), int(length))
    student = cfg.model.student
    assert f'_{network}_' in student.cfg and Path(student.cfg).stem.endswith(f'_{data}')
    if recovery == 'no-teacher':
        assert student.checkpoint is None
    else:
        assert student.checkpoint.startswith(f'work_dirs/{Path(student.cfg).stem}/best_')
    if cfg.schedule.type == 'NoTeacher':
        assert 'teacher' not in cfg.model
    else:
        assert cfg.model.teacher == dict(cfg=student.cfg, checkpoint=student.checkpoint)
    assert cfg.schedule.type == RECIPE[recovery]
    assert student.transform.macs == SHARES[share]


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in NAMES if any(part in name for part in BUILT)])
def test_a_config_trains_the_whole_pruned_student(name):
    pytest.importorskip('torch_pruning')
    cfg = Config.fromfile(CONFIGS / name)
    recovery, _, share = Path(name).stem.partition('_')[0].rpartition('-')
    model = build_model(cfg)
    init_default_scope(cfg.default_scope)
    shape = (3, 64, 64)
    before = network_cost(build_network(dict(cfg=cfg.model.student.cfg), 'student'), shape).macs
    assert 0.8 * SHARES[share] < network_cost(model.student, shape).macs / before <= SHARES[share]
    phases = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    assert len(phases) == (1 + len(cfg.model.spots) if recovery == 'skd' else 1)
    trained = set()
    for phase in phases:
        model.activate(phase.train, phase.spots, phase.task)
        trained |= {key for key in model.trainable() if key.startswith('student.')}
    # Together, the phases train the whole student.
    assert trained == {f'student.{key}' for key, _ in model.student.named_parameters()}


def test_the_readme_names_every_config():
    text = (CONFIGS / 'pruning/README.md').read_text()
    assert all(f']({name.partition("/")[2]})' in text for name in NAMES)
