"""The configs of the segmentation methods: every pair of networks with every method."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.registry import RECIPES, build

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
PATHS = sorted((CONFIGS / 'segmentation').rglob('*.py'))
PAIRS = {'pspnet-r101_pspnet-r18_4xb2-80k': (80000, 2, 0.01, 0.0005),
         'deeplabv3-r101_deeplabv3-r18_4xb4-40k': (40000, 4, 0.02, 0.0001)}
METHODS = {  # names of the spots, and the published weights
    'kd': {'kd': 1}, 'fitnets': {'kd': 1, 'fitnets': 10}, 'pkd': {'kd': 1, 'pkd': 5}, 'cwd': {'cwd': 3},
    'cwd-t1': {'cwd': 5}, 'dist': {'dist': 1, 'dist-aux': 0.4}, 'skds': {'kd': 1, 'pairwise': 10},
    'ifvd': {'kd': 1, 'ifvd': 20}, 'mgd': {'mgd': 1e-5, 'cwd': 3}, 'bpkd': {'bpkd': 1},
    'cirkd': {'kd': 1, 'batch': 1, 'memory': 1}}


def test_the_grid_is_whole():
    assert {path.stem for path in PATHS} == {f'{method}_{pair}_cityscapes-512x1024' for method in METHODS
                                             for pair in PAIRS}


def test_readme_and_metafile_name_all():
    models = yaml.safe_load((CONFIGS / 'segmentation/metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {str(path.relative_to(ROOT)) for path in PATHS}
    assert 'configs/segmentation/metafile.yml' in (ROOT / 'model-index.yml').read_text()
    readme = (CONFIGS / 'segmentation/README.md').read_text()
    assert all(f'({path.relative_to(CONFIGS / "segmentation")})' in readme for path in PATHS)


@pytest.mark.parametrize('path', PATHS, ids=[path.stem for path in PATHS])
def test_a_config_is_its_pair_and_its_method(path):
    cfg = Config.fromfile(path)
    method, _, pair = path.stem.removesuffix('_cityscapes-512x1024').partition('_')
    iters, batch, lr, decay = PAIRS[pair]
    assert {spot.name: spot.get('weight', 1) for spot in cfg.model.spots} == METHODS[method]
    assert (cfg.schedule.phase_iters, cfg.train_dataloader.batch_size) == (iters, batch)
    assert (cfg.optim_wrapper.optimizer.lr, cfg.optim_wrapper.optimizer.weight_decay) == (lr, decay)
    teacher = Path(cfg.model.teacher.cfg).stem
    assert teacher.startswith(pair.partition('_')[0].replace('-', '_')) and cfg.model.teacher.checkpoint.startswith(
        f'https://mmassets.onedl.ai/mmsegmentation/v0.5/{teacher.partition("_")[0]}/')
    assert 'spots' not in cfg.schedule or method == 'skds'


@pytest.mark.parametrize('path', [
    pytest.param(path, id=path.stem, marks=[] if path.stem.startswith('dist_psp') else pytest.mark.slow)
    for path in PATHS])
def test_a_config_builds_and_its_phase_finds_all_spots(path):
    cfg = Config.fromfile(path)
    cfg.model.teacher.checkpoint = None
    for spot in cfg.model.spots:
        if 'memory' in spot:
            spot.memory.update(pixel_slots=300, region_slots=60)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    (phase, ) = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    model.activate(phase.train, phase.spots, phase.task)
    expected = set(METHODS[path.stem.partition('_')[0]])
    if path.stem.startswith('skds'):
        expected.add('kd.discriminator')
    assert set(phase.spots) == expected and phase.task == 1
