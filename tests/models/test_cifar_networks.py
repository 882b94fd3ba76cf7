"""The networks for 32x32 images against the table of SAKD (section 3 of the method's notes), and their configs."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from skd_mm.features import FeatureExtractor, split_stages

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
FILES = sorted(path for path in CONFIGS.glob('*/*cifar*.py') if path.parent.name in ('teachers', 'students'))
OTHERS = {  # no pair uses them, so that there are no configs
    'resnet44': (dict(type='skd_mm.CIFARResNet', depth=44), 64),
    'wrn-16-1': (dict(type='skd_mm.WideResNet', depth=16, widen_factor=1), 64),
    'vgg11bn': (dict(type='skd_mm.CIFARVGG', depth=11), 512),
    'vgg16bn': (dict(type='skd_mm.CIFARVGG', depth=16), 512),
    'vgg19bn': (dict(type='skd_mm.CIFARVGG', depth=19), 512),
}
LAYERS = ('stem', 'layer1', 'layer2', 'layer3', 'layer4')


def named(features, *names):
    return dict(zip(names or LAYERS, features, strict=False))


RESNET = named([(16, 32), (16, 32), (32, 16), (64, 8)])
X4 = named([(32, 32), (64, 32), (128, 16), (256, 8)])
WRN1 = named([(16, 32), (16, 32), (32, 16), (64, 8)])
WRN2 = named([(16, 32), (32, 32), (64, 16), (128, 8)])
VGG = named([(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)])
MOBILE = ('conv1', 'layer2', 'layer3', 'layer5', 'layer7', 'conv2')
SHUFFLE = ('conv1', 'layers.0', 'layers.1', 'layers.2', 'layers.3')
# Parameters in M (those of nets that the table leaves out are counted from the definitions in CRD's code) and features:
# f0, f1 .. fn by the module whose output they are, each with channels and side.
TABLE = {
    'resnet20': ('0.278', RESNET),
    'resnet32': ('0.473', RESNET),
    'resnet44': ('0.667', RESNET),
    'resnet56': ('0.862', RESNET),
    'resnet110': ('1.737', RESNET),
    'resnet8x4': ('1.234', X4),
    'resnet32x4': ('7.434', X4),
    'wrn-16-1': ('0.181', WRN1),
    'wrn-40-1': ('0.570', WRN1),
    'wrn-16-2': ('0.703', WRN2),
    'wrn-40-2': ('2.255', WRN2),
    'vgg8bn': ('3.965', VGG),
    'vgg11bn': ('9.277', VGG),
    'vgg13bn': ('9.462', VGG),
    'vgg16bn': ('14.774', VGG),
    'vgg19bn': ('20.087', VGG),
    'resnet50': ('23.705', named([(64, 32), (256, 32), (512, 16), (1024, 8), (2048, 4)])),
    'mobilenet-v2-1x': ('2.353', named([(32, 16), (24, 16), (32, 8), (96, 4), (320, 2), (1280, 2)], *MOBILE)),
    'mobilenet-v2-0.5x': ('0.813', named([(16, 16), (12, 16), (16, 8), (48, 4), (160, 2), (1280, 2)], *MOBILE)),
    'shufflenet-v1-1x': ('0.949', named([(24, 32), (240, 16), (480, 8), (960, 4)], *SHUFFLE)),
    'shufflenet-v2-1x': ('1.356', named([(24, 32), (116, 16), (232, 8), (464, 4), (1024, 4)], *SHUFFLE)),
}


def build(name, **backbone):
    """The classifier from its config, or from the parts that a config would have."""
    init_default_scope('mmpretrain')
    path = next((path for path in FILES if path.stem.split('_')[0] == name and path.stem.endswith('cifar100')), None)
    if path is not None:
        model = Config.fromfile(path).model
    else:
        model = Config.fromfile(CONFIGS / '_base_/models/classifier.py').model
        model.backbone, model.head.in_channels = OTHERS[name]
    model.backbone.update(backbone)
    return MODELS.build(model)


def run(model, names, images, **kwargs):
    return FeatureExtractor(model).run(lambda: model(images, mode='tensor'), names, **kwargs)


@pytest.mark.parametrize('name', TABLE)
def test_parameters_and_features(name):
    parameters, features = TABLE[name]
    model = build(name)
    model.init_weights()
    assert f'{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.3f}' == parameters
    spots = [f'backbone.{module}' for module in features]
    # In training, too, no later module writes into a feature: the network's view of itself would refuse.
    logits, seen = run(model, [*spots, 'neck[-1]', 'head.fc'], torch.randn(2, 3, 32, 32))
    assert list(seen) == [*spots, 'neck[-1]', 'head.fc']
    assert [tuple(seen[spot].shape[1:]) for spot in spots] == [(c, side, side) for c, side in features.values()]
    assert seen['neck[-1]'].shape == (2, list(features.values())[-1][0])
    assert seen['head.fc'] is logits and logits.shape == (2, 100) and logits.isfinite().all()
    for spot in spots:
        raw = re.search('mobilenet.*layer|wrn-..-1.*stem', f'{name} {spot}')
        assert (seen[spot].min() < 0) == bool(raw), spot


@pytest.mark.parametrize('name', ['resnet20', 'wrn-16-1', 'wrn-16-2', 'vgg8bn', 'mobilenet-v2-0.5x',
                                  'shufflenet-v1-1x', 'shufflenet-v2-1x'])
def test_stages_and_re_entry(name):
    model = build(name).eval()
    spots = [f'backbone.{module}' for module in TABLE[name][1]]
    images = torch.randn(1, 3, 32, 32)
    stages, features, *_ = split_stages(FeatureExtractor(model), lambda: model(images, mode='tensor'), spots)
    assert [stage.name for stage in stages] == [*spots, 'task_head']
    assert stages[-1].modules[-2:] == ('neck', 'head')
    logits, _ = run(model, (), images)
    again, _ = run(model, (), torch.zeros_like(images), replay={spot: features[spot] for spot in spots})
    torch.testing.assert_close(again, logits)


@pytest.mark.parametrize('name, indices, spots', [
    ('resnet20', (0, 2), ('layer1', 'layer3')),
    ('wrn-16-2', (0, 2), ('layer1', 'layer3')),
    ('vgg8bn', (0, 4), ('stem', 'layer4')),
    ('mobilenet-v2-0.5x', (1, 7), ('layer2', 'conv2')),
    ('shufflenet-v1-1x', (0, 2), ('layers.0', 'layers.2')),
    ('shufflenet-v2-1x', (0, 3), ('layers.0', 'layers.3')),
])
def test_out_indices_count_as_mmpretrains(name, indices, spots):
    model = build(name, out_indices=indices).eval()
    images = torch.randn(1, 3, 32, 32)
    _, seen = run(model, [f'backbone.{spot}' for spot in spots], images)
    for out, feature in zip(model.backbone(images), seen.values(), strict=True):
        assert torch.equal(out, feature)
    assert len(build(name).backbone(images)) == 1


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_configs_say_what_their_names_say(path):
    cfg = Config.fromfile(path)
    name, *training, data = path.stem.split('_')
    assert cfg.default_scope == 'mmpretrain' and 'skd_mm' in cfg.custom_imports.imports
    assert cfg.model.type == 'ImageClassifier' and 'teacher' not in cfg.model
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.type == f'skd_mm.{data.upper()}'
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == int(data[len('cifar'):])
    assert cfg.default_hooks.checkpoint.save_best == 'accuracy/top1'
    if data == 'cifar10':
        assert name == f'resnet{cfg.model.backbone.depth}'
    else:
        assert name in TABLE
    assert ('optim_wrapper' in cfg) == bool(training) == (path.parent.name == 'teachers')
    if training:
        assert training == [f'1xb{cfg.train_dataloader.batch_size}-{cfg.train_cfg.max_epochs}e']


def test_settings_of_the_comparison():
    cfg = Config.fromfile(CONFIGS / 'teachers/resnet56_1xb64-240e_cifar100.py')
    init_default_scope(cfg.default_scope)
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == ['RandomCrop', 'RandomFlip', 'PackInputs']
    assert cfg.train_dataloader.dataset.pipeline[0].padding == 4
    preprocessor = MODELS.build(dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
    assert (preprocessor.mean / 255).flatten().tolist() == pytest.approx([.5071, .4867, .4408])
    assert (preprocessor.std / 255).flatten().tolist() == pytest.approx([.2675, .2565, .2761])
    assert not preprocessor.to_rgb
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4)
    assert (cfg.param_scheduler.milestones, cfg.param_scheduler.gamma) == ([150, 180, 210], 0.1)


# SKD's table of classifiers (section 2 of the method's notes), in M with 10 classes.
@pytest.mark.parametrize('depth, parameters', [(10, '5.171'), (14, '11.072'), (18, '11.441'), (20, '12.622'),
                                               (26, '17.712'), (34, '21.550')])
def test_classifiers_of_skd(depth, parameters):
    path, = (path for path in FILES if re.fullmatch(rf'resnet{depth}(_.*)?_cifar10', path.stem))
    init_default_scope('mmpretrain')
    model = MODELS.build(Config.fromfile(path).model).eval()
    assert f'{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.3f}' == parameters
    spots = ['backbone.stem', *(f'backbone.layer{k}' for k in range(1, 5)), 'neck[-1]', 'head.fc']
    with torch.no_grad():
        logits, seen = run(model, spots, torch.randn(1, 3, 32, 32))
    assert [tuple(feature.shape[1:]) for feature in seen.values()] == [
        (64, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2), (512, 1, 1), (256, ), (10, )]
    assert seen['head.fc'] is logits
