import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from skd_mm.features import FeatureExtractor, split_stages
from tests.helpers import SPOTS, UNET_SPOTS, network, unet

NORM = dict(type='BN')


def split(cfg, cuts, scope='mmseg', side=64, training=False):
    init_default_scope(scope)
    model = MODELS.build(cfg)
    model.train(training)
    image = torch.zeros(1, 3, side, side)
    stages, features, *_ = split_stages(FeatureExtractor(model), lambda: model(image, mode='tensor'), cuts)
    return model, stages, features


def belongs_to(model, stages):
    """Every parameter and buffer by the stage whose modules hold it; each must be in exactly one."""
    found = {}
    for stage in stages:
        for path in stage.modules:
            module = model.get_submodule(path)
            for name, _ in (*module.named_parameters(), *module.named_buffers()):
                name = f'{path}.{name}'
                assert name not in found, f'{name} is in {found[name]} and in {stage.name}'
                found[name] = stage.name
        for name in stage.own:
            assert name not in found
            found[name] = stage.name
    everything = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    assert found.keys() == everything
    return found


PSP = dict(
    type='mmseg.EncoderDecoder',
    backbone=dict(type='mmseg.ResNetV1c', depth=18, base_channels=4, stem_channels=4, norm_cfg=NORM,
                  strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), num_stages=4, out_indices=(0, 1, 2, 3)),
    decode_head=dict(type='mmseg.PSPHead', in_channels=32, in_index=3, channels=4, pool_scales=(1, 2), num_classes=3,
                     norm_cfg=NORM, align_corners=False),
    auxiliary_head=dict(type='mmseg.FCNHead', in_channels=16, in_index=2, channels=4, num_convs=1, num_classes=3,
                        norm_cfg=NORM, align_corners=False),
    train_cfg=dict(), test_cfg=dict(mode='whole'))


def test_the_papers_eleven_stages_with_the_papers_parameters():
    model, stages, features = split(unet(width=1), UNET_SPOTS)
    assert [stage.name for stage in stages] == [*UNET_SPOTS, 'task_head']
    owner = belongs_to(model, stages)
    sizes = dict.fromkeys((stage.name for stage in stages), 0)
    for name, parameter in model.named_parameters():
        sizes[owner[name]] += parameter.numel()
    # SKD's table; the head there has 12 outputs, ours 3: (16 * 9 + 1) each.
    assert sizes['backbone.stem'] == 9536
    assert [sizes[f'decode_head.blocks.{i}'] for i in range(5)] == [2360320, 590336, 147712, 46208, 6976]
    assert sizes['task_head'] == 1740 // 12 * 3
    assert [tuple(features[spot].shape[1:]) for spot in UNET_SPOTS] == [
        (64, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2),
        (256, 4, 4), (128, 8, 8), (64, 16, 16), (32, 32, 32), (16, 64, 64)]


def test_the_order_of_the_spots_does_not_matter():
    ordered = split(network(), SPOTS)[1]
    assert split(network(), SPOTS[::-1])[1] == ordered
    assert [stage.modules for stage in ordered[:3]] == [(spot, ) for spot in SPOTS]


def test_what_lies_between_two_spots_belongs_to_the_second():
    model, stages, _ = split(network(), [SPOTS[1]])
    owner = belongs_to(model, stages)
    assert {owner[name] for name in owner if name.startswith(('backbone.layers.0', 'backbone.layers.1'))} == {SPOTS[1]}
    assert owner['backbone.layers.2.0.weight'] == 'task_head'
    assert owner['decode_head.conv_seg.weight'] == 'task_head'


def test_without_spots_all_is_the_task_head():
    model, stages, features = split(network(), [])
    assert [stage.name for stage in stages] == ['task_head'] and not features
    belongs_to(model, stages)


def test_a_cut_inside_a_block():
    model, stages, _ = split(network(), ['backbone.layers.1.0'])
    owner = belongs_to(model, stages)
    assert owner['backbone.layers.1.0.weight'] == 'backbone.layers.1.0'
    assert owner['backbone.layers.1.1.weight'] == 'task_head'
    assert owner['backbone.layers.1.1.running_mean'] == 'task_head'


def test_an_element_of_the_backbones_tuple_ends_where_the_backbone_ends():
    model, stages, features = split(network(), ['backbone[1]', 'decode_head.convs'])
    assert [stage.name for stage in stages] == ['backbone[1]', 'decode_head.convs', 'task_head']
    # What the last layer computes is another element.
    assert stages[0].modules == ('backbone.layers.0', 'backbone.layers.1')
    assert features['backbone[1]'].shape == (1, 4, 64, 64)
    belongs_to(model, stages)


def test_a_pspnet_with_its_auxiliary_head():
    cuts = ['backbone.stem', *(f'backbone.layer{i}' for i in range(1, 5)), 'decode_head.psp_modules[-1]',
            'decode_head.bottleneck']
    model, stages, features = split(PSP, cuts)
    owner = belongs_to(model, stages)
    assert [stage.name for stage in stages] == [*cuts, 'task_head']
    # Only the loss calls the auxiliary head.
    assert {owner[name] for name in owner if name.startswith('auxiliary_head')} == {'task_head'}
    # The last of the branches does not depend on the others.
    assert owner['decode_head.psp_modules.0.1.conv.weight'] == cuts[6]
    assert owner['decode_head.psp_modules.1.1.conv.weight'] == cuts[5]
    assert owner['decode_head.conv_seg.weight'] == 'task_head'
    assert features['backbone.stem'].shape == (1, 4, 32, 32)
    assert features['backbone.layer4'].shape == (1, 32, 8, 8)


@pytest.mark.parametrize(('backbone', 'cuts', 'shapes'), [
    (dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=4, stem_channels=4),
     ['backbone.stem', 'backbone.layer1', 'backbone.layer2', 'backbone.layer3', 'backbone.layer4', 'neck'],
     [(4, 32, 32), (4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]),
    (dict(type='mmpretrain.MobileNetV2', widen_factor=0.1, out_indices=(7, )),
     ['backbone.conv1', 'backbone.layer1', 'backbone.layer4', 'backbone.layer7', 'backbone.conv2'],
     [(8, 16, 16), (8, 16, 16), (8, 2, 2), (32, 1, 1), (1280, 1, 1)])])
def test_classifiers(backbone, cuts, shapes):
    channels = shapes[-1][0]
    cfg = dict(type='mmpretrain.ImageClassifier', backbone=backbone, neck=dict(type='GlobalAveragePooling'),
               head=dict(type='LinearClsHead', num_classes=5, in_channels=channels))
    cuts, neck = [cut for cut in cuts if cut != 'neck'], 'neck' in cuts
    model, stages, features = split(cfg, [*cuts, *(['neck.gap'] if neck else [])], scope='mmpretrain', side=32)
    assert [tuple(features[cut].shape[1:]) for cut in cuts] == shapes
    owner = belongs_to(model, stages)
    # The classifier's `tensor` mode may end before the head: it belongs to the task all the same.
    assert owner['head.fc.weight'] == 'task_head'
    if 'backbone.stem' in cuts:
        assert owner['backbone.conv1.weight'] == owner['backbone.bn1.weight'] == 'backbone.stem'


def test_the_modules_of_a_stage_are_as_coarse_as_possible():
    _, stages, _ = split(PSP, ['backbone.layer4'])
    assert stages[0].modules == ('backbone', )
    assert set(stages[1].modules) >= {'decode_head', 'auxiliary_head'}


class Mixed(nn.Module):
    """A parameter of its own next to its children, a dropout, and a module without weights between the layers."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 4, 1, 1))
        self.first = nn.Conv2d(3, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.last(self.second(self.drop(self.first(x) + self.token)))


def test_parameters_beside_children_and_modules_without_parameters_have_their_place():
    model = nn.Sequential(Mixed(), nn.Conv2d(4, 2, 1))
    stages, *_ = split_stages(FeatureExtractor(model), lambda: model(torch.zeros(1, 3, 4, 4)), ['0.second'])
    assert stages[0].name == '0.second'
    assert {'0.first', '0.drop', '0.second'} <= set(stages[0].modules)  # its dropout is in training mode with it
    assert '0.last' in stages[1].modules and '1' in stages[1].modules
    assert [stage.own for stage in stages] == [('0.token', ), ()]
    assert belongs_to(model, stages)['0.token'] == '0.second'


def test_a_module_whose_weights_are_used_without_a_call_does_not_run_again():
    model = nn.Sequential(nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2))

    def call():
        tokens = torch.zeros(1, 3, 4)
        return model[1](model[0](tokens, tokens, tokens)[0])

    stages, *_ = split_stages(FeatureExtractor(model.eval()), call, ['0[0]'])
    assert [stage.modules for stage in stages] == [('0', ), ('1', )]
    assert stages[0].shared == ()


@pytest.mark.parametrize(('shared', 'expected'), [(nn.BatchNorm2d(3), ('1', )),
                                                  (nn.BatchNorm2d(3, affine=False), ())])
def test_of_the_modules_that_run_again_those_with_parameters_are_shared(shared, expected):
    model = nn.Sequential(nn.Conv2d(3, 3, 1), shared, nn.Conv2d(3, 3, 1))

    def call():
        return model[1](model[2](model[1](model[0](torch.zeros(1, 3, 4, 4)))))

    stages, *_ = split_stages(FeatureExtractor(model.eval()), call, ['2'])
    assert stages[0].shared == expected


def test_a_linear_layer_before_an_in_place_operation_runs_once():
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(inplace=True), nn.Linear(4, 4), nn.Linear(4, 2))
    # The output of a linear layer for a map is a view.
    stages, *_ = split_stages(FeatureExtractor(model.eval()), lambda: model(torch.zeros(1, 5, 5, 2)), ['2'])
    assert stages[0].modules == ('0', '1', '2') and stages[0].shared == ()


@pytest.mark.parametrize(('cuts', 'error', 'words'), [
    (['backbone.layer.1'], KeyError, "has no module 'backbone.layer.1'; did you mean 'backbone.layers.1'"),
    (['auxiliary_head'], RuntimeError, r"these modules were not: \['auxiliary_head'\]"),
    (['backbone[7]'], (KeyError, ValueError), r"'backbone\[7\]'.*has no element 7")])
def test_wrong_cuts(cuts, error, words):
    cfg = network()
    cfg['auxiliary_head'] = dict(cfg['decode_head'], num_convs=0, channels=4)
    with pytest.raises(error, match=words):
        split(cfg, cuts)


def test_leaves_nothing_on_the_model():
    model = split(network(), SPOTS)[0]
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
