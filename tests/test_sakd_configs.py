"""The grid of spot-adaptive configs: every pair of networks with every distiller."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from skd_mm.registry import RECIPES, build

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
GRID = sorted(path.stem for path in (CONFIGS / 'sakd/cifar100').glob('*.py'))
PAIRS = {  # as sakd.md has them: f1..fn of the student, and whether the policy begins with the teacher
    'resnet56_resnet20': ([16, 32, 64], 10), 'resnet110_resnet32': ([16, 32, 64], 10),
    'resnet32x4_resnet8x4': ([64, 128, 256], 10), 'resnet32x4_resnet32': ([16, 32, 64], 10),
    'vgg13bn_vgg8bn': ([128, 256, 512, 512], 10),
    'wrn-40-2_wrn-16-2': ([32, 64, 128], 10), 'vgg13bn_mobilenet-v2-1x': ([24, 32, 96, 320], 0),
    'resnet50_mobilenet-v2-1x': ([24, 32, 96, 320], 0), 'resnet50_vgg8bn': ([128, 256, 512, 512], 0),
    'resnet32x4_shufflenet-v1-1x': ([240, 480, 960], 0), 'wrn-40-2_shufflenet-v1-1x': ([240, 480, 960], 0)}
DISTILLERS = {  # β, γ, and the spots: which stages, or one on pooled features
    'kd': (None, 1, []), 'fitnet': (1, 1, [2]), 'at': (1000, 2, 'all'), 'sp': (3000, 1, [-1]), 'cc': (.02, 1, 'pool'),
    'vid': (1, 2, 'all'), 'rkd': (1, 2, 'pool'), 'pkt': (30000, 1, 'pool'), 'ft': (200, 1, [-1]), 'nst': (50, 1, 'all'),
    'crd': (.8, 1, 'pool'), 'fsp': (1, 1, 'pairs')}
# Each pair once, and each distiller for two networks that have little in common; one of all others is tried below.
BUILT = [*(('at', pair) for pair in PAIRS),
         *((method, 'resnet50_mobilenet-v2-1x') for method in DISTILLERS if method not in ('at', 'fsp'))]


BATCHES_OF_32 = [('nst', 'resnet50_mobilenet-v2-1x'), ('nst', 'wrn-40-2_shufflenet-v1-1x')]


def stem(method, pair, batch=64):
    return f'sakd-{method}_{pair}_1xb{batch}-240e_cifar100'


def test_the_grid_is_whole():
    unequal = {pair for pair, (_, bias) in PAIRS.items() if not bias} | {'resnet32x4_resnet32'}
    assert set(GRID) == {stem(method, pair) for pair in PAIRS for method in DISTILLERS
                         if method != 'fsp' or pair not in unequal} | {stem(*pair, 32) for pair in BATCHES_OF_32}


@pytest.mark.parametrize('name', GRID)
def test_a_config_of_the_grid_is_its_pair_and_its_distiller(name):
    cfg = Config.fromfile(CONFIGS / f'sakd/cifar100/{name}.py')
    method, teacher, student = name.removeprefix('sakd-').split('_')[:3]
    distiller = Config.fromfile(CONFIGS / f'_base_/distillers/{method}.py').distiller
    pair = Config.fromfile(CONFIGS / f'_base_/pairs/{teacher}_{student}_cifar100.py')
    assert cfg.model.spots == distiller.spots
    assert cfg.model.router == dict(pair.model.router, gamma=distiller.gamma)
    assert {role: cfg.model[role] for role in ('teacher', 'student')} == {
        role: pair.model[role] for role in ('teacher', 'student')}
    assert cfg.model.teacher.cfg == f'configs/teachers/{teacher}_1xb64-240e_cifar100.py'
    assert cfg.model.student.cfg == f'configs/students/{student}_cifar100.py'
    assert cfg.optim_wrapper.optimizer.lr == (.01 if 'net-v' in student else .05)
    assert ('prepare' in cfg.schedule) == (method == 'ft')
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == (32 if '1xb32' in name else 64)


@pytest.mark.parametrize(('method', 'pair'), [
    pytest.param(*case, marks=[] if case[0] == 'at' and 'resnet110' not in case[1] else pytest.mark.slow)
    for case in BUILT])
def test_pairs_and_distillers_are_what_the_table_says(method, pair):
    cfg = Config.fromfile(CONFIGS / f'sakd/cifar100/{stem(method, pair)}.py')
    channels, bias = PAIRS[pair]
    cfg.model.teacher.checkpoint = None
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    beta, gamma, where = DISTILLERS[method]
    *spots, logits = model.spots.values()
    assert model.router.gate == 'policy' and model.router.gamma == gamma
    assert (model.router.policy.linear.bias[::2].min() > 5) == bool(bias)
    assert (logits.name, logits.weight, logits.loss.temperature) == ('logits', 1, 4)
    assert [spot.weight for spot in spots] == [beta] * len(spots)
    # (student's, teacher's) channels, or a pooled vector
    if where == 'all':
        assert [spot.shapes[0][0] for spot in spots] == channels
    elif where == 'pool':
        assert [len(shape) for spot in spots for shape in spot.shapes] == [1, 1]
    elif where == 'pairs':
        assert [spot.shapes[0][0] for spot in spots] == channels[:-1]
    else:
        assert [spot.shapes[0][0] for spot in spots] == [channels[k - (k > 0)] for k in where]
    phases = build(RECIPES, cfg.schedule).phases(model.stage_names(), model.spot_names())
    assert [phase.name for phase in phases] == [*(['prepare'] if method == 'ft' else []), 'simultaneous']
    for phase in phases:
        model.activate(phase.train, phase.spots, phase.task)
    assert model.active.multi_path and phases[-1].epochs == 240


@pytest.mark.parametrize('method', [*DISTILLERS])
def test_a_step_of_every_distiller(method):
    cfg = Config.fromfile(CONFIGS / f'sakd/cifar100/sakd-{method}_resnet56_resnet20_1xb64-240e_cifar100.py')
    cfg.model.teacher.checkpoint = None
    if method == 'crd':
        cfg.model.spots[0].memory.update(num_samples=20, negatives=8)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    samples = [DataSample(metainfo=dict(skd_mm_index=i)).set_gt_label(i) for i in range(6)]
    losses = model.loss(torch.randn(6, 3, 32, 32), samples)
    total = sum(value for key, value in losses.items() if 'loss' in key)
    total.backward()
    assert total.isfinite()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


OTHERS = [path for path in (CONFIGS / 'sakd').rglob('*.py') if path.parent.name != 'cifar100']


@pytest.mark.parametrize('path', OTHERS, ids=[path.stem for path in OTHERS])
def test_the_configs_beside_the_grid(path):
    cfg = Config.fromfile(path)
    assert cfg.model.teacher.checkpoint.startswith(f'work_dirs/{Path(cfg.model.teacher.cfg).stem}/best_')
    cfg.model.teacher.checkpoint = None
    if path.parent.name in ('camvid', 'cityscapes'):
        small = {'model.backbone.width': 0.125, 'model.decode_head.width': 0.125}
        cfg.model.teacher.options, cfg.model.student.options = small, small
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    (phase, ) = build(RECIPES, cfg.schedule).phases(model.stage_names(), model.spot_names())
    model.activate(phase.train, phase.spots, phase.task)
    assert model.active.multi_path and model.router.gamma == 2
    assert list(phase.spots)[-1] == 'logits' and set(phase.spots.values()) == {1.0}
    if path.parent.name == 'tiny-imagenet':
        assert len(model.router.spots) in (2, 5)
        assert model.student.head.fc.out_features == 200
    else:
        assert len(model.router.spots) == 6
