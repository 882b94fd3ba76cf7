"""Pruning of channels: shares, kept outputs, configs with widths, and training of the pruned network."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from skd_mm.analysis.flops import network_cost
from skd_mm.deploy.export import export_student
from skd_mm.deploy.pruning import ChannelWidths, layer_widths, prune_network, prune_student
from skd_mm.deploy.pruning.tool import spot_modules
from skd_mm.distillers.networks import build_network, load_weights
from skd_mm.features import FeatureExtractor
from skd_mm.utils import tree_leaves
from tests.helpers import CLASSES, SIDE, UNET_SPOTS, batch, build_distiller, config, network, total, train, unet

SIZE = (3, 64, 64)


@pytest.fixture(autouse=True)
def needs_torch_pruning():
    pytest.importorskip('torch_pruning')


def build(cfg, seed=0):
    torch.manual_seed(seed)
    init_default_scope('mmseg')
    model = MODELS.build(cfg).eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and name.endswith('weight'):
            torch.nn.init.uniform_(parameter, 0.5, 2)
    return model


def zoo_network(**backbone):
    """A PSPNet with an auxiliary head, as the zoo has it."""
    head = dict(num_classes=CLASSES, norm_cfg=dict(type='BN'), align_corners=False)
    return dict(
        type='mmseg.EncoderDecoder',
        data_preprocessor=dict(type='mmseg.SegDataPreProcessor', size=(64, 64)),
        backbone=dict(type='mmseg.ResNetV1c', depth=18, stem_channels=8, base_channels=8,
                      norm_cfg=dict(type='BN'), **backbone),
        decode_head=dict(type='mmseg.PSPHead', in_channels=64, in_index=3, channels=16, pool_scales=(1, 2), **head),
        auxiliary_head=dict(type='mmseg.FCNHead', in_channels=32, in_index=2, channels=8, num_convs=1, **head))


def classifier():
    return dict(
        type='mmpretrain.ImageClassifier', data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
        backbone=dict(type='skd_mm.CIFARResNet', depth=8), neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=7, in_channels=64))


@pytest.mark.parametrize(('cfg', 'macs'), [
    pytest.param(unet(width=1 / 8), 0.5, marks=pytest.mark.slow),
    pytest.param(zoo_network(), 0.2, marks=pytest.mark.slow),
    (classifier(), 0.5), (classifier(), 0.2)], ids=['unet', 'pspnet', 'cifar', 'cifar-fifth'])
def test_a_network_is_pruned_to_a_share_of_its_macs(cfg, macs):
    model = build(cfg)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned = prune_network(model, SIZE, macs, min_channels=1)
    share = network_cost(pruned.model, SIZE).macs / network_cost(model, SIZE).macs
    assert 0.7 * macs < share <= macs
    assert pruned.share == pytest.approx(share, rel=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    # The outputs keep their channels, and the config builds the same network.
    images = torch.randn(2, *SIZE)
    rebuilt = build_network(dict(cfg, transform=dict(type='ChannelWidths', widths=pruned.widths)), 'student').eval()
    rebuilt.load_state_dict(pruned.model.state_dict())
    expected, found = (tree_leaves(one(images, mode='tensor'))[-1] for one in (pruned.model, rebuilt))
    assert torch.equal(found, expected)
    assert found.shape == tree_leaves(model(images, mode='tensor'))[-1].shape


@pytest.mark.parametrize(('macs', 'min_channels', 'width'), [(0.03, 3, 16), (0.1, 6, 16), (0.12, 4, 12)])
def test_no_layer_gets_fewer_channels_than_the_least(macs, min_channels, width):
    """In floating point, 4 of 12, 24 and 48 channels are slightly fewer than 4."""
    cfg = classifier()
    cfg['backbone'].update(stem_channels=width, base_channels=width)
    cfg['head']['in_channels'] = 4 * width
    model = build(cfg)
    pruned = prune_network(model, SIZE, macs, min_channels=min_channels)
    channels = [module.out_channels for module in pruned.model.modules() if isinstance(module, nn.Conv2d)]
    assert min(channels) == min_channels


@pytest.mark.slow
def test_the_auxiliary_head_of_a_pruned_network_still_trains():
    pruned = prune_network(build(zoo_network()), SIZE, 0.4)
    head = pruned.model.auxiliary_head
    assert head.convs[0].conv.in_channels < 32 and head.conv_seg.out_channels == CLASSES
    losses = pruned.model(*batch(2, side=64), mode='loss')
    assert losses['aux.loss_ce'].isfinite()


def test_channels_with_small_weights_go_first():
    model = build(unet(width=1 / 8))
    conv = model.backbone.layer1[0].conv1
    with torch.no_grad():
        conv.weight[::2] *= 1e-3
        model.backbone.layer1[0].bn1.weight[::2] *= 1e-3
    strong = conv.weight[1::2].clone()
    pruned = prune_network(model, SIZE, 0.5, UNET_SPOTS, 1).model.backbone.layer1[0].conv1
    assert len(pruned.weight) <= len(strong)
    assert all(any(torch.equal(kept, one) for one in strong) for kept in pruned.weight)


def test_kept_modules_keep_their_channels():
    model = build(unet(width=1 / 8))
    pruned = prune_network(model, SIZE, 0.6, UNET_SPOTS, 1)
    shapes = []
    for one in (model, pruned.model):
        traced = FeatureExtractor(one).trace(lambda one=one: one(torch.zeros(1, *SIZE), mode='tensor'))
        features = dict(reversed(traced))  # the first output of each module
        shapes.append([features[path.replace('stem', 'relu')].shape for path in UNET_SPOTS])
    assert shapes[0] == shapes[1]
    assert all('conv1' in path or 'bn1' in path or 'conv2' in path for path in pruned.widths)


@pytest.mark.slow
def test_stages_of_a_pruned_student_are_compared_without_connectors():
    pruned = prune_network(build(unet(width=1 / 8)), SIZE, 0.6, UNET_SPOTS, 1)
    student = dict(unet(width=1 / 8), transform=dict(type='ChannelWidths', widths=pruned.widths))
    distiller = build_distiller(student=student, teacher=unet(width=1 / 8), spots=UNET_SPOTS)
    distiller.activate(['backbone.layer2'], ['backbone.layer2'])
    total(distiller.loss(*batch(2, side=64))).backward()
    assert all(parameter.grad is not None for parameter in distiller.trainable().values())


def test_what_cannot_be_pruned_is_refused_by_name():
    cases = [(zoo_network(), 1.5, (), r'macs=1\.5 must be greater than 0 and less than 1'),
             (network(), 0.5, (), 'backbone ToyBackbone cannot be pruned; these can.* ResNet, ResNet_CIFAR'),
             (unet(), 0.5, ['backbone.layer9'], r"keep: .*no module 'backbone.layer9'; did you mean 'backbone.layer"),
             (unet(), 0.01, UNET_SPOTS, r'1% of the MACs cannot be reached.*keep fewer modules')]
    for cfg, macs, keep, words in cases:
        with pytest.raises(ValueError, match=words):
            prune_network(build(cfg), SIZE, macs, keep)
    with pytest.raises(ValueError, match='min_channels=0 must be a positive integer'):
        prune_network(build(unet()), SIZE, 0.5, min_channels=0)
    grouped = dict(classifier(), backbone=dict(type='mmpretrain.ResNeXt', depth=50, groups=2, width_per_group=4))
    with pytest.raises(ValueError, match=r"backbone ResNeXt cannot be pruned: .*conv2' has groups of channels"):
        prune_network(build(dict(grouped, head=dict(grouped['head'], in_channels=2048))), SIZE, 0.5)


def test_widths_that_do_not_fit_are_refused():
    for widths, words in [
            ({'backbone.layer9': 3}, r"no module 'backbone.layer9'; did you mean 'backbone.layers'"),
            ({'backbone.layers.0.0': 3}, r"'backbone.layers.0.0', a Conv2d, must be \(in, out\) from 1 on, not 3"),
            ({'backbone.layers.0.1': [3, 4]}, 'a BatchNorm2d, must be one number'),
            ({'backbone.layers.0.0': [3, 0]}, r'must be \(in, out\) from 1 on'),
            ({'backbone.layers.0.0': [3, 4, 2]}, 'multiples of the groups'),
            ({'backbone.layers.0.2': 3}, 'is a ReLU; only convolutions, linear and BN layers')]:
        with pytest.raises(ValueError, match=words):
            ChannelWidths(widths)(build(network()))


def test_widths_can_also_grow():
    model = ChannelWidths({'decode_head.conv_seg': [4, 5]})(build(network()))
    assert model(torch.zeros(1, 3, SIDE, SIDE), mode='tensor').shape == (1, 5, SIDE, SIDE)
    assert layer_widths(model)['decode_head.conv_seg'] == [4, 5]


@pytest.mark.slow
def test_a_pruned_student_has_a_config_that_builds_it_and_recovers(tmp_path):
    """The student of a distillation is pruned, recovers stage by stage, and is exported."""
    model = build(unet())
    torch.save(dict(state_dict={f'student.{key}': value for key, value in model.state_dict().items()},
                    meta=dict(dataset_meta=dict(classes=['a', 'b', 'c']))), tmp_path / 'iter_1.pth')
    cfg = config(tmp_path / 'w', model=dict(type='skd_mm.Distiller', student=unet(), teacher=unet(),
                                            spots=[dict(student=UNET_SPOTS[0]), *UNET_SPOTS[1:]]))
    done = prune_student(cfg, str(tmp_path / 'iter_1.pth'), tmp_path / 'pruned', 'half', 0.6, [], min_channels=1)
    written = Config.fromfile(done.config)
    assert written.model.type == 'skd_mm.TransformedNetwork' and written.model.network == 'mmseg.EncoderDecoder'
    assert written.custom_imports.imports == ['skd_mm']
    layer = done.pruned.model.backbone.layer4[0].conv1
    assert written.model.transforms[0].widths['backbone.layer4.0.conv1'] == [layer.in_channels, layer.out_channels]

    cfg.model.teacher = dict(unet(), checkpoint=str(tmp_path / 'iter_1.pth'))
    cfg.model.student = dict(cfg=str(done.config), checkpoint=str(done.checkpoint))
    cfg.model.spots = [dict(student=name, connector=dict(type='RestoreChannels')) for name in UNET_SPOTS]
    cfg.schedule = dict(type='Stagewise', phase_iters=1)
    cfg.train_dataloader.dataset.update(side=32, images=4)
    cfg.val_dataloader.dataset.update(side=32)
    runner = train(cfg)
    assert runner.iter == len(UNET_SPOTS) + 1
    last = tmp_path / 'w' / 'iter_11.pth'
    files = export_student(cfg, str(last), tmp_path / 'out', 'recovered')
    recovered = MODELS.build(Config.fromfile(files[0]).model).eval()
    recovered.load_state_dict(torch.load(files[1], weights_only=True)['state_dict'])
    assert layer_widths(recovered) == layer_widths(done.pruned.model)
    with pytest.raises(ValueError, match='quantised network cannot be pruned'):
        quantised = dict(unet(), transform=dict(type='FakeQuantize'))
        prune_student(Config(dict(model=quantised | dict(type='skd_mm.Distiller', student=quantised))),
                      str(tmp_path / 'iter_1.pth'), tmp_path / 'x', 'x', 0.5)


def test_spots_that_name_no_module_are_refused_where_their_channels_should_be_kept():
    for spots in (['x', dict(head_feature=True)], [dict(backbone_stage='all')], 'backbone'):
        with pytest.raises(ValueError, match=r'names no module of the student: name .*--keep'):
            spot_modules(Config(dict(model=dict(spots=spots))))
    assert spot_modules(Config(dict(model=dict(spots=['x', dict(student=['y', 'z'])])))) == ['x', 'y', 'z']


def test_a_pruned_network_takes_the_weights_of_the_network_before(tmp_path):
    model = build(classifier())
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'whole.pth')
    transform = dict(type='PruneChannels', macs=0.5)
    student = build_network(dict(classifier(), transform=transform), 'student').eval()
    load_weights(student, str(tmp_path / 'whole.pth'), 'student')
    expected = prune_network(model, SIZE, 0.5)
    assert_same_weights(student, expected.model)
    # The order of transforms is kept: channels are chosen first, then BN is folded.
    both = build_network(dict(classifier(), transform=[transform, dict(type='FakeQuantize')]), 'student').eval()
    load_weights(both, str(tmp_path / 'whole.pth'), 'student')
    for module in both.modules():
        if hasattr(module, 'enabled'):
            module.enabled = False
    images = torch.randn(2, *SIZE)
    torch.testing.assert_close(both(images, mode='tensor'), student(images, mode='tensor'), rtol=1e-3, atol=1e-4)
    # Weights of the pruned network are taken as they are, also by a network with widths in its config.
    torch.save(dict(state_dict=student.state_dict(), meta=dict(dataset_meta=dict(classes=['a'] * 7))),
               tmp_path / 'pruned.pth')
    other = build_network(dict(classifier(), transform=transform), 'student').eval()
    load_weights(other, str(tmp_path / 'pruned.pth'), 'student')
    assert_same_weights(other, student)
    cfg = Config(dict(default_scope='mmpretrain', model=dict(
        type='skd_mm.Distiller', student=dict(classifier(), transform=transform))))
    cfg.test_dataloader, cfg.test_evaluator = dict(), dict()
    cfg_file, weights = export_student(cfg, str(tmp_path / 'pruned.pth'), tmp_path / 'out', 'student')
    written = Config.fromfile(cfg_file).model
    assert written.transforms == [dict(type='ChannelWidths', widths=expected.widths)]
    load_weights(build_network(written, 'student'), str(weights), 'student')


def assert_same_weights(one, other):
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def test_a_checkpoint_of_neither_network_is_refused(tmp_path):
    wider = classifier()
    wider['head'] = dict(wider['head'], num_classes=9)
    torch.save(dict(state_dict=build(wider).state_dict()), tmp_path / 'other.pth')
    student = build_network(dict(classifier(), transform=dict(type='PruneChannels', macs=0.5)), 'student')
    with pytest.raises(ValueError, match='does not fit the student'):
        load_weights(student, str(tmp_path / 'other.pth'), 'student')
    with pytest.raises(ValueError, match=r'macs=1\.5 must be greater than 0 and less than 1'):
        build_network(dict(classifier(), transform=dict(type='PruneChannels', macs=1.5)), 'student')
