"""The configs of the segmentation methods: every pair of networks with every method."""

import copy
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.config import check_config
from skd_mm.distillers.networks import find_config
from skd_mm.registry import RECIPES, build
from tests.toy_data import thin_network

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
FOLDER, BASE = CONFIGS / 'segmentation', CONFIGS / '_base_'
PATHS = sorted(FOLDER.rglob('*.py'))
SIZES = {'cityscapes': '512x1024', 'camvid': '360x360', 'ade20k': '512x512', 'voc12aug': '512x512',
         'context59': '480x480'}
CLASSES = {'cityscapes': 19, 'camvid': 11, 'ade20k': 150, 'voc12aug': 21, 'context59': 59}
MMSEG, CIRKD = (80000, 0.01, 0.0005), (40000, 0.02, 0.0001)  # iterations, learning rate, weight decay
PAIRS = {  # images per GPU and the protocol
    'pspnet-r101_pspnet-r18_4xb2-80k_cityscapes': (2, MMSEG),
    'deeplabv3-r101_deeplabv3-r18_4xb4-40k_cityscapes': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_cityscapes': (4, CIRKD),
    'deeplabv3-r101_pspnet-r18_4xb4-40k_camvid': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-r18_4xb4-40k_camvid': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_camvid': (4, CIRKD),
    'unet-r34-w25_unet-r10-w25_1xb8-150e_camvid': (8, None),
    'pspnet-r101_pspnet-r18_4xb4-80k_ade20k': (4, MMSEG),
    'deeplabv3-r101_deeplabv3-r18_4xb4-40k_ade20k': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_ade20k': (4, CIRKD),
    'deeplabv3-r101_pspnet-r18_4xb4-40k_voc12aug': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-r18_4xb4-40k_voc12aug': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_voc12aug': (4, CIRKD),
    'pspnet-r101_pspnet-r18_4xb4-80k_context59': (4, MMSEG),
    'deeplabv3-r101_deeplabv3-r18_4xb4-80k_context59': (4, MMSEG),
    'deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-80k_context59': (4, MMSEG)}
METHODS = {  # names of the spots, and the published weights
    'kd': {'kd': 1}, 'fitnets': {'kd': 1, 'fitnets': 10}, 'pkd': {'kd': 1, 'pkd': 5}, 'cwd': {'cwd': 3},
    'cwd-t1': {'cwd': 5}, 'dist': {'dist': 1, 'dist-aux': 0.4}, 'skds': {'kd': 1, 'pairwise': 10},
    'ifvd': {'kd': 1, 'ifvd': 20}, 'mgd': {'mgd': 168, 'cwd': 3}, 'bpkd': {'bpkd': 1},
    'cirkd': {'kd': 1, 'batch': 1, 'memory': 1}, 'af-dcd': {'kd': 1, 'af-dcd': 1}}
OTHER_WEIGHTS = {'dist_unet': {'dist': 1}, 'cwd-t1_ade20k': {'cwd': 10}, 'af-dcd_ade20k': {'kd': 0.5, 'af-dcd': 1}}
OTHER_LOSSES = {
    'af-dcd_ade20k': ('af-dcd', dict(feature=1e-6, contrast=0.04)), 'af-dcd_voc12aug': ('af-dcd', dict(feature=1e-6)),
    'af-dcd_context59': ('af-dcd', dict(feature=1e-6)), 'af-dcd_unet': ('af-dcd', dict(pool=1)),
    'af-dcd_camvid': ('af-dcd', dict(feature=8e-6, contrast=0.01, pool=1)),
    'cirkd_voc12aug': ('memory', dict(pixel=0.01, region=0.01))}
SKDS = ("schedule = dict(spots={'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001})\n"
        "optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))\n")
COMBINED = [f'stagewise-{method}_unet-r34-w25_unet-r10-w25_1xb8-150e_camvid-160x224' for method in METHODS]
# Each pair once and each method at least once.
SOME = [(list(METHODS)[i % len(METHODS)], pair) for i, pair in enumerate(PAIRS)]


def data_of(pair):
    return pair.rpartition('_')[2]


def name_of(method, pair):
    return f'{method}_{pair}-{"160x224" if pair.startswith("unet") else SIZES[data_of(pair)]}'


def path_of(method, pair):
    return FOLDER / data_of(pair) / f'{name_of(method, pair)}.py'


def base_of(method, pair):
    special = f'{method}_{"unet" if pair.startswith("unet") else data_of(pair)}'
    return special if (BASE / f'distillers/seg_{special}.py').exists() else method


def test_the_grid_is_whole():
    expected = [name_of(method, pair) for method in METHODS for pair in PAIRS]
    assert sorted(path.stem for path in PATHS) == sorted([*expected, *COMBINED])


def test_a_config_is_its_pair_and_its_method():
    for method in METHODS:
        for pair in PAIRS:
            expected = (f"_base_ = ['../../_base_/pairs/{pair}.py', "
                        f"'../../_base_/distillers/seg_{base_of(method, pair)}.py']\n"
                        'model = dict(spots=_base_.distiller.spots)\n')
            assert path_of(method, pair).read_text() == expected + (SKDS if method == 'skds' else ''), (method, pair)


def test_every_base_of_a_method_is_used():
    used = {base_of(method, pair) for method in METHODS for pair in PAIRS}
    assert {path.stem.removeprefix('seg_') for path in (BASE / 'distillers').glob('seg_*.py')} == used
    assert {*OTHER_WEIGHTS, *OTHER_LOSSES} <= used


def test_readme_and_metafile_name_all():
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    assert {model['Config'] for model in models} == {str(path.relative_to(ROOT)) for path in PATHS}
    assert 'configs/segmentation/metafile.yml' in (ROOT / 'model-index.yml').read_text()
    readme = (FOLDER / 'README.md').read_text()
    for path in PATHS:
        assert f']({path.relative_to(FOLDER)})' in readme, path
    # Where a number was published, the link to the config is that number.
    for model in models:
        link = readme.partition(f']({model["Config"].removeprefix("configs/segmentation/")})')[0].rpartition('[')[2]
        published = model['Metadata'].get('Published')
        if published is not None or link[0].isdigit():
            assert float(link) == published['mIoU'], model['Name']


@pytest.mark.parametrize('method', METHODS)
def test_methods_have_the_published_weights(method):
    for path in sorted((BASE / 'distillers').glob(f'seg_{method}*.py')):
        key = path.stem.removeprefix('seg_')
        if key.partition('_')[0] == method:
            spots = {spot.name: spot for spot in Config.fromfile(path).distiller.spots}
            weights = {name: spot.get('weight', 1) for name, spot in spots.items()}
            assert weights == OTHER_WEIGHTS.get(key, METHODS[method]), key
            if key in OTHER_LOSSES:
                name, arguments = OTHER_LOSSES[key]
                assert {name: value for name, value in spots[name].loss.items() if name != 'type'} == arguments, key


def thin(cfg):
    """The same model with narrow networks and random weights."""
    model = copy.deepcopy(cfg.model)
    for role in ('teacher', 'student'):
        thin_network(model[role])
        model[role].checkpoint = None
    return model


@pytest.mark.parametrize(('method', 'pair'), SOME)
def test_a_pair_follows_its_protocol_and_its_phase_finds_all_spots(method, pair):
    cfg = Config.fromfile(path_of(method, pair))
    check_config(cfg)
    batch, protocol = PAIRS[pair]
    assert cfg.train_dataloader.batch_size == batch and cfg.train_cfg.type == 'skd_mm.PhaseLoop'
    if protocol is not None:
        optimizer = cfg.optim_wrapper.optimizer
        assert (cfg.schedule.phase_iters, optimizer.lr, optimizer.weight_decay) == protocol
        crop = tuple(map(int, SIZES[data_of(pair)].split('x')))
        pipeline = cfg.train_dataloader.dataset.get('datasets', [cfg.train_dataloader.dataset])[0].pipeline
        assert [step.crop_size for step in pipeline if step.type == 'RandomCrop'] == [crop]
    init_default_scope(cfg.default_scope)
    model = MODELS.build(thin(cfg))
    assert model.student.num_classes == model.teacher.num_classes == CLASSES[data_of(pair)]
    if protocol is not None:
        for network in (model.student, model.teacher):
            assert network.auxiliary_head.num_classes == network.num_classes and network.data_preprocessor.size == crop
    (phase, ) = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    model.activate(phase.train, phase.spots, phase.task)
    expected = {*OTHER_WEIGHTS.get(base_of(method, pair), METHODS[method])}
    if method == 'skds':
        expected.add('kd.discriminator')
    assert set(phase.spots) == expected and phase.task == 1


@pytest.mark.parametrize('pair', PAIRS)
def test_teachers_are_the_model_zoos(pair):
    teacher = Config.fromfile(BASE / f'pairs/{pair}.py').model.teacher
    if data_of(pair) == 'camvid':
        assert (ROOT / teacher.cfg).exists()
        assert teacher.checkpoint == f'work_dirs/{Path(teacher.cfg).stem}/best_mIoU_*.pth'
        return
    file = Path(find_config(teacher.cfg))
    text = next(file.parent.glob('metafile.y*ml')).read_text()
    weights = next(model['Weights'] for model in yaml.safe_load(text)['Models'] if model['Name'] == file.stem)
    # The two dependency lines have two hosts.
    assert teacher.checkpoint.partition('/mmsegmentation/')[2] == weights.partition('/mmsegmentation/')[2]


@pytest.mark.parametrize('method', METHODS)
def test_a_stagewise_schedule_ends_with_another_method(method):
    name = COMBINED[list(METHODS).index(method)]
    cfg = Config.fromfile(FOLDER / f'camvid/{name}.py')
    check_config(cfg)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(thin(cfg))
    phases = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    features = [spot for spot in cfg.model.spots if isinstance(spot, str)]
    assert [(phase.train, phase.spots, phase.task) for phase in phases[:-1]] == [
        ([phase.name], {spot: 1}, 0) for phase, spot in zip(phases[:-1], features, strict=True)] and len(features) == 10
    own = OTHER_WEIGHTS.get(f'{method}_unet', METHODS[method])
    assert {spot.name: spot.get('weight', 1) for spot in cfg.model.spots if not isinstance(spot, str)} == own
    assert set(phases[-1].spots) - {'kd.discriminator'} == {*own} and phases[-1].task == 1
    assert ('kd.discriminator' in phases[-1].spots) == (method == 'skds')
    model.activate(phases[-1].train, phases[-1].spots, phases[-1].task)
    assert 'student.backbone.conv1.weight' in model.trainable()
