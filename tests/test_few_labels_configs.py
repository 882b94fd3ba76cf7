"""The configs for few labels load, and their phases are what their names say."""

from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.config import check_config
from skd_mm.registry import RECIPES, build

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
FOLDER = CONFIGS / 'fewlabels'
PATHS = sorted(path for path in FOLDER.rglob('*.py') if '_base_' not in path.parts)


def phases_of(cfg):
    names = [spot if isinstance(spot, str) else spot['name'] for spot in cfg.model.get('spots', [])]
    phases = build(RECIPES, cfg.schedule).phases([*names, 'task_head'])
    return [phase.with_data('unlabelled_dataloader' in cfg) for phase in phases]


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_the_phases_of_a_config(path):
    cfg = Config.fromfile(path)
    assert not check_config(cfg)
    method = path.stem.partition('_')[0]
    phases = phases_of(cfg)
    data = [phase.data for phase in phases]
    assert f'-{cfg.schedule.phase_epochs}e_' in path.stem
    if method.startswith('few-labels'):
        assert data == ['unlabelled'] * (len(phases) - 2) + ['labelled', 'unlabelled']
        assert phases[-1].name == 'polish' and phases[-1].task == 0 and 'logits' in phases[-1].spots
        assert sum(phases[-1].spots.values()) == pytest.approx(1)
        assert phases[-2].fraction in (0.1, 0.25) and phases[-2].task == 1
    elif method == 'parallel':
        assert [phase.name for phase in phases] == ['stages', 'task_head', 'polish']
        assert data == ['unlabelled', 'labelled', 'unlabelled'] and 'logits' not in phases[0].teacher_forcing
        assert len(phases[0].teacher_forcing) == 10 and 'logits' in phases[-1].spots
    elif method.endswith('-unlabelled'):
        assert data == ['unlabelled'] and phases[0].task == 0 and sum(phases[0].spots.values()) == pytest.approx(1)
    elif method.startswith('foundation'):
        assert data == ['unlabelled', 'labelled'] and [phase.task for phase in phases] == [0, 1]
    else:
        assert set(data) == {'labelled'} and {phase.fraction for phase in phases} <= {0.1, 0.25}


@pytest.mark.slow
@pytest.mark.parametrize(('method', 'spots'), [
    ('foundation', ['dinov2']), ('foundation-qsd', ['dinov2']), ('foundation-relations', ['global', 'local'])])
def test_a_foundation_model_teaches_the_backbone(method, spots):
    cfg = Config.fromfile(next(path for path in PATHS if path.stem.startswith(f'{method}_')))
    cfg.model.teacher.checkpoint = None
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    features, labels = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    model.activate(labels.train, labels.spots, labels.task)
    assert not model.active.needs_teacher
    everything = set(model.trainable())
    model.activate(features.train, features.spots, features.task)
    connector = {name for name in model.trainable() if not name.startswith('student.')}
    assert connector and set(model.trainable()) - connector == {
        name for name in everything if name.startswith('student.backbone.')}
    # 96 x 128 pixels are 7 x 9 patches of 14.
    assert model.teacher_input(torch.zeros(1, 3, 96, 128)).shape[2:] == (98, 126)
    losses = model.loss(torch.randn(2, 3, 96, 128), None)
    assert list(features.spots) == spots
    for spot in spots:
        assert torch.isfinite(losses[f'spots.{spot}.loss']) and losses[f'spots.{spot}.loss'] > 0


def test_readme_and_metafile_name_all():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {str(path.relative_to(CONFIGS.parent)) for path in PATHS}
    text = (FOLDER / 'README.md').read_text()
    assert all(f']({path.relative_to(FOLDER)})' in text for path in PATHS)
