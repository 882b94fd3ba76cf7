"""LW-KD's configs: the method, its baselines, and the lightweight teachers."""

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.registry import RECIPES, build

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(str(path.relative_to(ROOT / 'configs')) for path in (ROOT / 'configs/lwkd').rglob('*.py')
               if '_base_' not in path.parts)
LENETS = sorted(path.name for path in (ROOT / 'configs/teachers').glob('lenet5_*.py'))
LWKD = [name for name in NAMES if name.split('/')[-1].startswith('lwkd')]


def load(name):
    return Config.fromfile(ROOT / 'configs' / name)


def distiller(cfg):
    init_default_scope(cfg.default_scope)
    for role in ('teacher', 'student'):
        if role in cfg.model:
            cfg.model[role].update(checkpoint=None)
    model = MODELS.build(cfg.model)
    phase, = build(RECIPES, cfg.schedule).phases(model.stage_names(), model.spot_names())
    model.activate(phase.train, phase.spots, phase.task)
    return model, phase


@pytest.mark.parametrize('name', NAMES)
def test_it_is_what_its_name_says(name):
    cfg = load(name)
    stem = Path(name).stem
    _, *networks, settings, data = stem.split('_')
    assert data.split('-')[0].replace('in1k', 'imagenet') == name.split('/')[1]
    batch, epochs = re.fullmatch(r'\d+xb(\d+)-(\d+)e', settings).groups()
    assert (cfg.train_dataloader.batch_size, cfg.schedule.phase_epochs) == (int(batch), int(epochs))
    named = [Path(cfg.model[role].cfg).stem.split('_')[0] for role in ('teacher', 'student')
             if 'cfg' in cfg.model.get(role, {})]
    assert named == networks
    if 'prelude' in cfg:
        assert (ROOT / cfg.prelude.cfg).is_file() and cfg.model.teacher.checkpoint.startswith('prelude/')


@pytest.mark.parametrize('name', LWKD)
def test_the_methods_settings(name):
    cfg = load(name)
    model, phase = distiller(cfg)
    adversary = 'no-adversary' not in name
    assert (model.active.discriminator_model() is not None) == adversary
    assert phase.task == 0.1 and phase.spots == {'logits': 0.9, **({'logits.discriminator': 0.1} if adversary else {})}
    assert model.spots['logits'].loss.temperature == 4
    assert cfg.prelude.min_accuracy == {'accuracy/top1': 98}
    assert model.teacher.random == ('mean' not in name)
    assert (model.teacher.bank.order is not None) == ('permuted' in name)
    teacher = load(cfg.prelude.cfg.replace('configs/', ''))
    assert teacher.model.head.num_classes == cfg.model.teacher.num_classes == model.teacher.bank.logits.shape[0]


@pytest.mark.parametrize(('method', 'spots', 'task'), [
    ('no-teacher_resnet20', {}, 1), ('label-smoothing_resnet20', {}, 1), ('tfkd-reg_resnet20', {'logits': 0.1}, 0.9),
    ('tfkd-self_resnet20_resnet20', {'logits': 0.9}, 0.1), ('kd_resnet56_resnet20', {'logits': 0.9}, 0.1)])
def test_the_baselines(method, spots, task):
    cfg = load(f'lwkd/cifar100/{method}_1xb64-240e_cifar100.py')
    model, phase = distiller(cfg)
    assert (phase.spots, phase.task) == (spots, task)
    smoothing = type(model.student.head.loss_module).__name__ == 'LabelSmoothLoss'
    assert smoothing == ('smoothing' in method)
    if 'tfkd-self' in method:
        assert cfg.prelude.cfg == cfg.model.teacher.cfg and type(model.teacher) is type(model.student)
        assert load(cfg.prelude.cfg.replace('configs/', '')).model == load('students/resnet20_cifar100.py').model


@pytest.mark.parametrize('name', LENETS)
def test_the_lightweight_teacher(name):
    cfg = load(f'teachers/{name}')
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    classes = int(re.search(r'digits(\d+)', name).group(1))
    assert model.head.fc.weight.shape == (classes, 84)
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.num_classes == classes
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (20, 128)
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4)
    assert cfg.param_scheduler.type == 'CosineAnnealingLR'


def test_the_model_index_and_the_readme_name_them():
    models = yaml.safe_load((ROOT / 'configs/lwkd/metafile.yml').read_text())['Models']
    assert sorted(model['Config'].removeprefix('configs/') for model in models) == NAMES
    text = (ROOT / 'configs/lwkd/README.md').read_text()
    assert [name for name in NAMES if f']({name.split("/", 1)[1]})' not in text] == []
    assert 'configs/lwkd/metafile.yml' in (ROOT / 'model-index.yml').read_text()
