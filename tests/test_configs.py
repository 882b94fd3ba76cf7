"""Every config loads, builds, and says what its name says."""

import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, TRANSFORMS, init_default_scope
from mmengine.registry import MODELS as MMENGINE_MODELS

from skd_mm.distillers.networks import find_config
from skd_mm.registry import RECIPES, build

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# tests/tools/test_demo.py looks at the demo's, test_sakd_configs.py at the grid of SAKD's, test_lwkd_configs.py at
# LW-KD's, test_segmentation_configs.py at those of segmentation methods, test_quantisation_configs.py at those of
# quantisation, test_pruning_configs.py at those of pruning, test_detection_configs.py at detectors,
# test_pairs_configs.py at pairs across families, test_few_labels_configs.py at those with few labels, test_studies.py
# at study files, integration/test_zoo.py at the examples.
OTHERS = {'_base_', 'demo', 'detection', 'examples', 'fewlabels', 'lwkd', 'pairs', 'pruning',
          'quantisation', 'sakd', 'segmentation', 'studies'}
NAMES = sorted(str(path) for path in (path.relative_to(CONFIGS) for path in CONFIGS.rglob('*.py'))
               if not OTHERS & {*path.parts})
DISTILLED = [name for name in NAMES if name.split('/')[0] not in ('teachers', 'students')]
PLAIN = [name for name in NAMES if name not in DISTILLED]
METHODS = {  # recipe, and how many spots its arguments name
    'skd': ('Stagewise', 0), 'skd-faithful': ('Stagewise', 0), 'sskd': ('BackboneFirst', 0),
    'skd-progressive': ('Progressive', 0),
    'no-teacher': ('NoTeacher', 0), 'simultaneous': ('Simultaneous', 0), 'traditional': ('Simultaneous', 2),
    'kd': ('Simultaneous', 1), 'fitnets': ('FitNets', 0), 'at': ('Simultaneous', 0), 'fsp': ('Phases', 0)}
SMALL = {'model.backbone.width': 0.125, 'model.decode_head.width': 0.125}
SMALL_CLASSIFIER = {'model.backbone.width': 0.125, 'model.neck.in_channels': 64}
GLOBAL_BATCH = {'unet': 8, 'in1k': 256, '': 64}


def load(name):
    return Config.fromfile(CONFIGS / name)


def parts(cfg, role):
    return Path(cfg.model[role].cfg).stem.split('_')


def zoo_weights(path):
    """What the model zoo itself gives as the weights of one of its configs."""
    file = Path(find_config(path))
    models = yaml.safe_load((file.parent / 'metafile.yml').read_text())['Models']
    return next(model['Weights'] for model in models if model['Name'] == file.stem)


def small_options(path):
    if 'unet-' in path:
        return SMALL
    return SMALL_CLASSIFIER if path.endswith(('_cifar10.py', '_imagenette.py', '_imagewoof.py')) else None


def small_distiller(name):
    """A config and its model, thin and without checkpoints; the names of its modules are the real ones."""
    cfg = load(name)
    init_default_scope(cfg.default_scope)
    for role in ('teacher', 'student'):
        if role in cfg.model:
            cfg.model[role].update(checkpoint=None, options=small_options(cfg.model[role].cfg))
    return cfg, MMENGINE_MODELS.build(cfg.model)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('name', [name for name in PLAIN if '/unet-' in name])
def test_plain_configs_build_with_mmsegmentation(name):
    cfg = load(name)
    init_default_scope(cfg.default_scope)
    depth = int(re.search(r'-r(\d+)', name).group(1))
    width = next((int(part) / 100 for part in re.findall(r'-w(\d+)', name)), 1)
    assert (cfg.model.backbone.depth, cfg.model.backbone.width, cfg.model.decode_head.width) == (depth, width, width)
    cfg.merge_from_dict(SMALL)
    model = MMENGINE_MODELS.build(cfg.model)
    assert len(model.backbone.out_indices) == 5
    assert model.num_classes == (11 if 'camvid' in name else 19)


@pytest.mark.parametrize('name', [name for name in PLAIN if name.endswith(('_imagenette.py', '_imagewoof.py'))])
def test_plain_configs_build_with_mmpretrain(name):
    cfg = load(name)
    init_default_scope(cfg.default_scope)
    network, *training, data = Path(name).stem.split('_')
    assert cfg.model.backbone.depth == int(network[len('resnet'):])
    assert cfg.train_dataloader.dataset.data_root.endswith(f'{data}2')
    assert ('optim_wrapper' in cfg) == bool(training) == name.startswith('teachers/')
    if training:
        assert cfg.model.backbone.init_cfg.checkpoint == f'torchvision://{network}'
    cfg.merge_from_dict({**SMALL_CLASSIFIER, 'model.backbone.init_cfg': None})
    assert MMENGINE_MODELS.build(cfg.model).head.num_classes == 10


@pytest.mark.parametrize('name', DISTILLED)
def test_distillers_build_and_every_phase_finds_its_modules(name):
    cfg, model = small_distiller(name)
    phases = build(RECIPES, cfg.schedule).phases(model.stage_names())
    for phase in phases:
        model.activate(phase.train, phase.spots if model.teacher is not None else (), phase.task)
        assert any(parameter.requires_grad for parameter in model.parameters()), phase.name
    if cfg.schedule.type == 'Stagewise':
        assert [phase.name for phase in phases] == [*cfg.model.spots, 'task_head']
    if cfg.schedule.type in ('Stagewise', 'BackboneFirst'):
        model.activate(phases[-1].train, task=1)
        heads = dict(Stagewise=('decode_head.conv_seg.', 'neck.', 'head.'),
                     BackboneFirst=('decode_head.', 'neck.', 'head.'))[cfg.schedule.type]
        names = {name for name, _ in model.student.named_parameters()}
        assert set(model.trainable()) == {f'student.{name}' for name in names if name.startswith(heads)}


@pytest.mark.parametrize('name', DISTILLED)
def test_names_say_what_is_inside(name):
    cfg, stem = load(name), Path(name).stem
    method, *networks, settings, data = stem.split('_')
    assert METHODS[method] == (cfg.schedule.type, len(cfg.schedule.get('spots', ())))
    assert [parts(cfg, role)[0] for role in ('teacher', 'student') if role in cfg.model] == networks
    assert {parts(cfg, role)[-1] for role in ('teacher', 'student') if role in cfg.model} == {data}
    gpus, batch, length, unit = re.fullmatch(r'(\d+)xb(\d+)-(\d+)(e|k)', settings).groups()
    assert cfg.train_dataloader.batch_size == int(batch)
    assert int(batch) * int(gpus) == next(size for part, size in GLOBAL_BATCH.items() if part in stem)
    if unit == 'e':
        assert cfg.schedule.phase_epochs == int(length)
    else:
        assert cfg.schedule.phase_iters == 1000 * int(length)
    if 'teacher' in cfg.model:
        teacher = cfg.model.teacher
        if '::' in teacher.cfg:
            assert Path(teacher.checkpoint).name == Path(zoo_weights(teacher.cfg)).name  # the two lines have two hosts
        else:
            best = cfg.default_hooks.checkpoint.save_best.replace('/', '_')
            assert teacher.checkpoint == f'work_dirs/{Path(teacher.cfg).stem}/best_{best}_*.pth'


@pytest.mark.parametrize('name', [name for name in DISTILLED if 'skd/camvid/skd_unet-r34_' in name])
def test_the_three_other_methods_differ_in_the_schedule_alone(name):
    own = load(name).to_dict()
    for method in ('simultaneous', 'traditional', 'no-teacher'):
        other = name.replace('skd/', 'baselines/', 1).replace('/skd_unet-r34_', f'/{method}_unet-r34_')
        if method == 'no-teacher':
            other = other.replace('_unet-r34_', '_', 1)
        cfg = load(other).to_dict()
        for key in own:
            if key == 'model':
                assert cfg[key]['student'] == own[key]['student']
            elif key == 'schedule':
                assert cfg[key]['phase_epochs'] == own[key]['phase_epochs']
                assert cfg[key]['fraction'] == own[key]['fraction']
            else:
                assert cfg[key] == own[key], (other, key)


def losses(name):
    """What each phase of a schedule for classifiers minimises: what trains, the spots' weights, the task's."""
    cfg, model = small_distiller(name)
    return [(phase.train, {f'{type(model.spots[spot.replace(".", "/")].loss).__name__} {spot}': weight
                           for spot, weight in phase.spots.items()}, phase.task)
            for phase in build(RECIPES, cfg.schedule).phases(model.stage_names())]


STAGES = ['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3']


@pytest.mark.parametrize('method, expected', [
    ('simultaneous', [(['all'], {f'MSELoss {stage}': .2 for stage in STAGES}, .2)]),
    ('at', [(['all'], {f'ATLoss {stage}': .2 for stage in STAGES}, .2)]),
    ('kd', [(['all'], {'KDLoss head.fc': .8}, .2)]),
    ('fitnets', [(STAGES[:3], {'MSELoss backbone.layer2': 1}, 0), ([STAGES[3], 'task_head'], {}, 1)]),
    ('fsp', [(['all'], {f'FSPLoss flow{i}': 1 / 3 for i in (1, 2, 3)}, 0), (['all'], {}, 1)])])
def test_the_baselines_are_what_skd_compares_itself_with(method, expected):
    assert losses(f'baselines/cifar100/{method}_resnet56_resnet20_1xb64-100e_cifar100.py') == expected
    cfg = load(f'baselines/cifar100/{method}_resnet56_resnet20_1xb64-100e_cifar100.py')
    if method == 'kd':
        assert cfg.model.spots[0].loss.temperature == 20
    if method == 'fsp':
        assert [spot.student for spot in cfg.model.spots] == [STAGES[i:i + 2] for i in range(3)]


def test_flows_lead_from_layer_to_layer():
    layers = [f'backbone.layer{i}' for i in (1, 2, 3, 4)]
    flows = [load(f'baselines/{data}/fsp_resnet34_{student}.py').model.spots for data, student in (
        ('cifar10', 'resnet10_1xb64-100e_cifar10'), ('imagenet', 'resnet18_8xb32-50e_in1k'))]
    assert [[spot.student for spot in spots] for spots in flows] == [[layers[i:i + 2] for i in range(3)]] * 2


def test_networks_of_unequal_stages_and_widths_are_paired_by_resolution():
    _, model = small_distiller('sskd/imagenet/sskd_resnet50_mobilenet-v2_8xb32-20e_in1k.py')
    assert [(spot.student, spot.teacher, len(spot.connector)) for spot in model.spots.values()] == [
        ('backbone.layer2', 'backbone.layer1', 1), ('backbone.layer3', 'backbone.layer2', 1),
        ('backbone.layer5', 'backbone.layer3', 1), ('backbone.conv2', 'backbone.layer4', 1)]


def test_another_recipe_is_one_line():
    cfg = load('skd/cifar100/skd_resnet56_resnet20_1xb64-100e_cifar100.py')
    cfg.merge_from_dict({'schedule.type': 'BackboneFirst'})
    phases = build(RECIPES, cfg.schedule).phases([*cfg.model.spots, 'task_head'])
    assert [phase.name for phase in phases] == [*cfg.model.spots, 'task_head']


def test_the_papers_settings():
    cfg = load('skd/camvid/skd_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py')
    assert len(cfg.model.spots) == 10
    cfg.merge_from_dict({'schedule.fraction': 0.1})  # as --cfg-options does
    assert {phase.fraction for phase in build(RECIPES, cfg.schedule).phases([*cfg.model.spots, 'task_head'])} == {0.1}
    assert cfg.test_dataloader.dataset.data_prefix.img_path == 'test'
    student = load(cfg.model.student.cfg.replace('configs/', ''))
    preprocessor = MMENGINE_MODELS.build(dict(student.model.data_preprocessor, _scope_='mmseg'))
    assert (preprocessor.mean / 255).flatten().tolist() == pytest.approx([.41189489566336, .4251328133025,
                                                                          .4326707089857])
    assert (preprocessor.std / 255).flatten().tolist() == pytest.approx([.27413549931506, .28506257482912,
                                                                         .28284674400252])
    assert getattr(preprocessor, '_channel_conversion', None) or preprocessor.channel_conversion
    init_default_scope(student.default_scope)
    # The table's 8,059,084 has twelve outputs; a class less are 16 * 9 weights and a bias less.
    assert count(MMENGINE_MODELS.build(student.model)) == 8_059_084 - 145


def test_the_authors_settings_are_switched_on():
    cfg = load('skd/camvid/skd-faithful_unet-r34_unet-r10_1xb8-50e_camvid-480x640.py')
    init_default_scope(cfg.default_scope)
    assert cfg.model.teacher.mode == 'train'
    for phase in build(RECIPES, cfg.schedule).phases([*cfg.model.spots, 'task_head']):
        assert (phase.frozen_bn, phase.optimizer_params) == ('train', 'all')
    assert HOOKS.build(cfg.default_hooks.checkpoint).best_start == 100
    assert [TRANSFORMS.build(step).seg_interpolation for step in cfg.train_dataloader.dataset.pipeline
            if 'Resize' in step.type] == ['bilinear']
    assert cfg.test_dataloader.dataset.data_prefix.img_path == 'val'


def test_one_setting_moves_the_data(monkeypatch):
    name = 'students/unet-r10_camvid-480x640.py'
    monkeypatch.delenv('SKD_MM_DATA', raising=False)
    assert load(name).train_dataloader.dataset.data_root == 'data/camvid'
    monkeypatch.setenv('SKD_MM_DATA', '/somewhere/')
    assert Path(load(name).val_dataloader.dataset.data_root) == Path('/somewhere/camvid')
    cityscapes = load('students/unet-r10_cityscapes-512x1024.py')
    for split in ('train', 'val', 'test'):
        assert Path(cityscapes[f'{split}_dataloader'].dataset.data_root) == Path('/somewhere/cityscapes')


@pytest.mark.parametrize('name, size', [('unet-r10_camvid-480x640.py', (480, 640)),
                                        ('unet-r10-w25_camvid-160x224.py', (160, 224))])
def test_real_samples(name, size, real_data, monkeypatch):
    if not (real_data / 'camvid').is_dir():
        pytest.skip('needs camvid/ in SKD_MM_DATA')
    monkeypatch.setenv('SKD_MM_DATA', str(real_data))
    cfg = load(f'students/{name}')
    init_default_scope(cfg.default_scope)
    for split, number in (('train', 367), ('val', 101), ('test', 233)):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        sample = dataset[0]
        assert len(dataset) == number and sample['inputs'].shape == (3, *size)
        labels = sample['data_samples'].gt_sem_seg.data
        assert labels.shape[1:] == (size if split == 'train' else (360, 480))
        assert set(labels.unique().tolist()) <= {*range(11), 255}


def test_the_model_index_names_every_config():
    root = CONFIGS.parent
    index = yaml.safe_load((root / 'model-index.yml').read_text())
    named, collections = [], set()
    for path in index['Import']:
        metafile = yaml.safe_load((root / path).read_text())
        collections |= {collection['Name'] for collection in metafile.get('Collections', [])}
        for model in metafile['Models']:
            assert Path(model['Config']).stem == model['Name']
            assert model['In Collection'] in collections
            named.append(model['Config'].replace('configs/', '', 1))
    folders = ('fewlabels', 'sakd', 'lwkd', 'pairs', 'pruning', 'quantisation', 'segmentation')
    everything = [str(path.relative_to(CONFIGS)) for folder in folders
                  for path in (CONFIGS / folder).rglob('*.py') if '_base_' not in path.parts] + DISTILLED
    assert sorted(named) == sorted(everything)


def test_every_method_folder_has_a_readme_with_its_configs():
    for folder in sorted({name.split('/')[0] for name in DISTILLED}):
        text = (CONFIGS / folder / 'README.md').read_text()
        for name in DISTILLED:
            if name.startswith(f'{folder}/'):
                assert f']({name.split("/", 1)[1]})' in text, name
