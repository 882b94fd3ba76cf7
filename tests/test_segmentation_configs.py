"""The configs of the segmentation methods: every pair of networks with every method."""

import copy
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from skd_mm.config import check_config
from skd_mm.distillers.networks import find_config
from skd_mm.registry import RECIPES, build
from tests.integration.test_pairs import make_small
from tests.toy_data import thin_network

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
FOLDER, BASE = CONFIGS / 'segmentation', CONFIGS / '_base_'
PATHS = sorted(FOLDER.rglob('*.py'))
SIZES = {'cityscapes': '512x1024', 'camvid': '360x360', 'ade20k': '512x512', 'voc12aug': '512x512',
         'context59': '480x480'}
CLASSES = {'cityscapes': 19, 'camvid': 11, 'ade20k': 150, 'voc12aug': 21, 'context59': 59}
MMSEG, CIRKD = (80000, 0.01, 0.0005), (40000, 0.02, 0.0001)  # iterations, learning rate, weight decay
REAL_TIME, SEGFORMER = (120000, 0.01, 0.0005), (160000, 0.00006, 0.01)
PAIRS = {  # images per GPU and the protocol
    'pspnet-r101_pspnet-r18_4xb2-80k_cityscapes': (2, MMSEG),
    'deeplabv3-r101_deeplabv3-r18_4xb4-40k_cityscapes': (4, CIRKD),
    'deeplabv3-r101_deeplabv3-mobilenet-v2_4xb4-40k_cityscapes': (4, CIRKD),
    'hrnet-w48_hrnet-w18s_4xb2-80k_cityscapes': (2, MMSEG),
    'segformer-b4_segformer-b0_8xb1-160k_cityscapes': (1, SEGFORMER),
    'stdc2_stdc1_4xb12-80k_cityscapes': (12, MMSEG),
    'ddrnet-23_ddrnet-23-slim_2xb6-120k_cityscapes': (6, REAL_TIME),
    'pidnet-l_pidnet-s_2xb6-120k_cityscapes': (6, REAL_TIME),
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
# Bases of methods that differ from the method's own, by student; those by data set are found by their names.
FEW_POSITIONS = {'dist': 'dist_logits', 'cirkd': 'cirkd_pool2'}
BASES = {
    'unet-r10-w25': {'dist': 'dist_logits'},
    'hrnet-w18s': {**FEW_POSITIONS, 'skds': 'skds_stride4', 'af-dcd': 'af-dcd_stride32'},
    'segformer-b0': {**FEW_POSITIONS, 'skds': 'skds_stride4', 'cwd': 'cwd_segformer', 'mgd': 'mgd_tokens',
                     'af-dcd': 'af-dcd_tokens'},
    'stdc1': FEW_POSITIONS, 'ddrnet-23-slim': FEW_POSITIONS, 'pidnet-s': FEW_POSITIONS}
# The module that returns the last feature before the classifier, by the beginning of a network's name.
HEADS = {'pspnet': 'bottleneck', 'deeplabv3': 'bottleneck', 'hrnet': 'convs', 'segformer': 'fusion_conv',
         'stdc': 'convs', 'ddrnet': 'head', 'pidnet': 'i_head.act'}
OTHER_HEADS = tuple(HEADS)[2:]
OTHER_WEIGHTS = {'dist_logits': {'dist': 1}, 'cwd_segformer': {'cwd': 0.3}, 'mgd_unet': {'mgd': 1, 'cwd': 3},
                 'cwd-t1_ade20k': {'cwd': 10}, 'af-dcd_ade20k': {'kd': 0.5, 'af-dcd': 1}}
OTHER_LOSSES = {
    'af-dcd_ade20k': ('af-dcd', dict(feature=1e-6, contrast=0.04)), 'af-dcd_voc12aug': ('af-dcd', dict(feature=1e-6)),
    'af-dcd_context59': ('af-dcd', dict(feature=1e-6)), 'af-dcd_unet': ('af-dcd', dict(pool=1)),
    'af-dcd_stride32': ('af-dcd', dict(pool=1)), 'af-dcd_tokens': ('af-dcd', dict(pool=1)),
    'af-dcd_camvid': ('af-dcd', dict(feature=8e-6, contrast=0.01, pool=1)),
    'cirkd_voc12aug': ('memory', dict(pixel=0.01, region=0.01)), 'cirkd_pool2': ('batch', dict(pool=2)),
    'skds_stride4': ('pairwise', dict(pool=4, detach_norm=False))}
SKDS = ("schedule = dict(spots={'kd': 1, 'pairwise': 1, 'kd.discriminator': 0.001})\n"
        "optim_wrapper = dict(discriminator=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99))))\n")
UNETS = 'unet-r34-w25_unet-r10-w25_1xb8-150e_camvid'
COMBINED = [f'stagewise-{method}_{UNETS}-160x224' for method in METHODS]
# Each pair once and each method at least once.
SOME = [(list(METHODS)[i % len(METHODS)], pair) for i, pair in enumerate(PAIRS)]


def data_of(pair):
    return pair.rpartition('_')[2]


def size_of(pair):
    if pair.startswith('unet'):
        return '160x224'
    if pair.startswith(('segformer', 'ddrnet', 'pidnet')):
        return '1024x1024'
    return SIZES[data_of(pair)]


def name_of(method, pair):
    return f'{method}_{pair}-{size_of(pair)}'


def path_of(method, pair):
    return FOLDER / data_of(pair) / f'{name_of(method, pair)}.py'


def base_of(method, pair):
    student = pair.split('_')[1]
    if method in BASES.get(student, {}):
        return BASES[student][method]
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


def head_features(pair):
    """The modules of both networks that a spot with ``head_feature`` compares."""
    heads = [next(module for name, module in HEADS.items() if network.startswith(name))
             for network in reversed(pair.split('_')[:2])]
    return tuple(f'decode_head.{module}' for module in heads)


def thin(cfg, pair=''):
    """The same model with narrow networks and random weights."""
    if pair.startswith(OTHER_HEADS):
        cfg = copy.deepcopy(cfg)
        make_small(cfg, *pair.split('_')[:2])
        return cfg.model
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
        crop = tuple(map(int, size_of(pair).split('x')))
        pipeline = cfg.train_dataloader.dataset.get('datasets', [cfg.train_dataloader.dataset])[0].pipeline
        assert [step.crop_size for step in pipeline if step.type == 'RandomCrop'] == [crop]
    init_default_scope(cfg.default_scope)
    model = MODELS.build(thin(cfg, pair))
    assert model.student.num_classes == model.teacher.num_classes == CLASSES[data_of(pair)]
    if protocol is not None:
        for network in (model.student, model.teacher):
            assert network.data_preprocessor.size == crop
            if not pair.startswith(OTHER_HEADS):
                assert network.auxiliary_head.num_classes == network.num_classes
    (phase, ) = build(RECIPES, cfg.schedule).phases(model.outline(), model.spot_names())
    model.activate(phase.train, phase.spots, phase.task)
    expected = {*OTHER_WEIGHTS.get(base_of(method, pair), METHODS[method])}
    if method == 'skds':
        expected.add('kd.discriminator')
    assert set(phase.spots) == expected and phase.task == 1
    at_heads = {spot.name for spot in cfg.model.spots if spot.get('head_feature')}
    found = [(spot.student, spot.teacher) for spot in model.spots.values() if spot.name in at_heads]
    assert not at_heads or {*found} == {head_features(pair)}


@pytest.mark.slow
@pytest.mark.parametrize('pair', [pair for pair in PAIRS if pair.startswith(OTHER_HEADS)])
def test_all_methods_train_at_a_pair_with_another_head(pair):
    cfg = Config.fromfile(path_of('skds', pair))
    spots = []
    for method in METHODS:
        for spot in Config.fromfile(BASE / f'distillers/seg_{base_of(method, pair)}.py').distiller.spots:
            if 'memory' in spot:
                spot.memory.update(pixel_slots=300, region_slots=100)
            spots.append(dict(spot, name=f'{method}-{spot.name}'))
    cfg.model.spots = spots
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(thin(cfg, pair)))
    at_heads = [spot['name'] for spot in spots if spot.get('head_feature')]
    assert len(at_heads) == 6
    assert {(spot.student, spot.teacher) for spot in model.spots.values() if spot.name in at_heads} == {
        head_features(pair)}
    names = [spot['name'] for spot in spots] + ['skds-kd.discriminator']
    (phase, ) = build(RECIPES, dict(cfg.schedule, spots=dict.fromkeys(names, 1))).phases(
        model.outline(), model.spot_names())
    model.activate(phase.train, phase.spots, phase.task)
    model.train()
    model.student.data_preprocessor.size = (64, 64)
    losses = model(**model.data_preprocessor(images_with_labels(), training=True), mode='loss')
    sum(value for name, value in losses.items() if name.rpartition('.')[2].startswith('loss')).backward()
    assert all(torch.isfinite(losses[f'spots.{spot["name"]}.loss']) for spot in spots)
    trained = {name: parameter.grad for name, parameter in model.named_parameters()
               if parameter.requires_grad and 'discriminator' not in name}
    assert all(grad is not None and torch.isfinite(grad).all() for grad in trained.values())
    assert any(name.startswith('spots.') for name in trained) and 'student.decode_head.conv_seg.weight' in trained


def images_with_labels():
    samples = []
    for _ in range(2):
        label = torch.randint(0, 19, (1, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
        edges = torch.zeros(1, 64, 64, dtype=torch.long)
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=label), gt_edge_map=PixelData(data=edges)))
    return dict(inputs=[torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8) for _ in samples], data_samples=samples)


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
    own = OTHER_WEIGHTS.get(base_of(method, UNETS), METHODS[method])
    assert {spot.name: spot.get('weight', 1) for spot in cfg.model.spots if not isinstance(spot, str)} == own
    assert set(phases[-1].spots) - {'kd.discriminator'} == {*own} and phases[-1].task == 1
    assert ('kd.discriminator' in phases[-1].spots) == (method == 'skds')
    model.activate(phases[-1].train, phases[-1].spots, phases[-1].task)
    assert 'student.backbone.conv1.weight' in model.trainable()
