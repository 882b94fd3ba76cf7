"""The configs of pairs across families; tests/integration/test_pairs.py trains them."""

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from skd_mm.config import check_config
from skd_mm.distillers.networks import find_config
from skd_mm.registry import RECIPES, build

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'configs/pairs'
PATHS = sorted(FOLDER.rglob('*.py'))


def zoo_models(path):
    """What the zoo lists in the folder of one of its configs."""
    folder = Path(find_config(path)).parent
    file = next(folder / name for name in ('metafile.yml', 'metafile.yaml') if (folder / name).exists())
    return yaml.safe_load(file.read_text())['Models']


def test_readme_and_metafile_name_all():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {str(path.relative_to(ROOT)) for path in PATHS}
    readme = (FOLDER / 'README.md').read_text()
    assert all(f'({path.relative_to(FOLDER)})' in readme for path in PATHS)


def file_of(url):
    """The path of a URL: the two dependency lines have different hosts."""
    return str(url).partition('://')[2].partition('/')[2]


@pytest.mark.parametrize('path', PATHS, ids=[path.stem for path in PATHS])
def test_the_teachers_weights_are_the_zoos_for_its_config(path):
    teacher = Config.fromfile(path).model.teacher
    if 'cfg' not in teacher:  # a backbone alone
        zoo = zoo_models('mmpretrain::dinov2/vit-small-p14_dinov2-pre_headless.py')
        assert file_of(teacher.checkpoint) in [file_of(model.get('Weights')) for model in zoo]
        return
    weights = [(model['Config'].partition('/')[2], file_of(model.get('Weights'))) for model in zoo_models(teacher.cfg)]
    assert (teacher.cfg.partition('::')[2], file_of(teacher.checkpoint)) in weights
    assert teacher.checkpoint.startswith('https://mmassets.onedl.ai/')


@pytest.mark.parametrize('path', PATHS, ids=[path.stem for path in PATHS])
def test_the_schedule_fits_the_names_and_the_students_batch(path):
    if 'mask2former' in path.stem:
        pytest.importorskip('mmdet')
    cfg = Config.fromfile(path)
    assert check_config(cfg) == []
    gpus, _, images = path.stem.split('_')[2].partition('xb')
    assert cfg.train_dataloader.batch_size == int(images) and int(gpus) > 0
    stages = [dict(name=name, spots=(name, ), module=module) for name, module in (
        ('stage1', 'backbone.a'), ('stage2', 'backbone.b'), ('logits', 'decode_head.conv_seg'))]
    *features, head = build(RECIPES, cfg.schedule).phases([*stages, 'task_head'])
    logits = ['logits'] * any(spot.name == 'logits' for spot in cfg.model.spots)
    assert [list(phase.spots) for phase in (*features, head)] == [['stage1'], ['stage2'], logits]
    assert [phase.task for phase in features] == [0, 0] and head.task == 1
    whole = path.stem.partition('_')[2].startswith(('pidnet', 'ddrnet'))  # their heads need a backbone that is trained
    assert list(head.train) == (['all'] if whole else ['logits', 'task_head'])
