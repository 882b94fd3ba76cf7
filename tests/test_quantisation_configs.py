"""The configs of quantisation load, build, and are what their names say."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.config import check_config
from skd_mm.deploy.quantisation import quantized_layers
from skd_mm.registry import RECIPES, build

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in (CONFIGS / 'quantisation').rglob('*.py'))


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow) if '-half' in name else name for name in NAMES])
def test_a_config_is_what_its_name_says(name):
    if '-half' in name:  # is pruned, too
        pytest.importorskip('torch_pruning')
    cfg = Config.fromfile(CONFIGS / name)
    check_config(cfg)
    method, network, settings, data = Path(name).stem.split('_')
    batch, length = re.fullmatch(r'1xb(\d+)-(\d+)e', settings).groups()
    assert (cfg.train_dataloader.batch_size, cfg.schedule.phase_epochs) == (int(batch), int(length))
    assert cfg.model.teacher.checkpoint == cfg.model.student.checkpoint
    assert f'_{network}_' in cfg.model.student.cfg and Path(cfg.model.student.cfg).stem.endswith(f'_{data}')
    assert cfg.model.student.checkpoint.startswith(f'work_dirs/{Path(cfg.model.student.cfg).stem}/best_')

    init_default_scope(cfg.default_scope)
    for role in ('teacher', 'student'):
        cfg.model[role].checkpoint = None
    model = MODELS.build(cfg.model)
    bits = [layer.weight_quantizer.bits for layer in quantized_layers(model.student).values()]
    inner = int(method.removeprefix('int').partition('-')[0])
    assert sorted(bits) == sorted([8, 8, *[inner] * (len(bits) - 2)])
    phases = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    assert len(phases) == (1 if 'end-to-end' in method else len(cfg.model.spots))
    assert not any(phase.task for phase in phases)
    trained = set()
    for phase in phases:
        model.activate(phase.train, phase.spots, phase.task)
        trained |= set(model.trainable())
    # Together, the phases train the whole student, to the logits.
    assert trained == {f'student.{key}' for key, _ in model.student.named_parameters()}


def test_the_readme_names_every_config():
    text = (CONFIGS / 'quantisation/README.md').read_text()
    assert all(f']({name.partition("/")[2]})' in text for name in NAMES)
