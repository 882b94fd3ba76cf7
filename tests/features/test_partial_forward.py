import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from skd_mm.features import (
    FeatureExtractor,
    backbone_stages,
    constant,
    find_stage_entries,
    placeholder,
    recorded_paths,
    run_from_stage,
)
from tests.helpers import differing, network, same_bits, state

HEAD = dict(type='mmpretrain.LinearClsHead', num_classes=5, loss=dict(type='mmpretrain.CrossEntropyLoss'))


def classifier(channels, **backbone):
    return dict(type='ImageClassifier', _scope_='mmpretrain', backbone=backbone, neck=dict(type='GlobalAveragePooling'),
                head=dict(HEAD, in_channels=channels))


def segmentor(in_channels, **backbone):
    cfg = network()
    head = dict(cfg['decode_head'], in_channels=in_channels, in_index=-1)
    return dict(cfg, backbone=backbone, decode_head=head)


MIT = dict(type='mmseg.SegformerHead', in_channels=[8, 16, 24, 32], in_index=[0, 1, 2, 3], channels=8, num_classes=3,
           norm_cfg=dict(type='BN'), align_corners=False, dropout_ratio=0)
NETWORKS = {
    'ResNet': (classifier(512, type='mmpretrain.ResNet', depth=18), 'head.fc'),
    'bottleneck': (classifier(2048, type='mmpretrain.ResNet', depth=50), 'head.fc'),
    'VGG': (classifier(512, type='mmpretrain.VGG', depth=11, norm_cfg=dict(type='BN')), 'head.fc'),
    'MobileNetV2': (classifier(1280, type='mmpretrain.MobileNetV2'), 'head.fc'),
    'CIFARResNet': (classifier(64, type='skd_mm.CIFARResNet', depth=8), 'head.fc'),
    'WideResNet': (classifier(64, type='skd_mm.WideResNet', depth=10), 'head.fc'),
    'CIFARVGG': (classifier(512, type='skd_mm.CIFARVGG', depth=8), 'head.fc'),
    'CIFARMobileNetV2': (classifier(1280, type='skd_mm.CIFARMobileNetV2', widen_factor=0.5), 'head.fc'),
    'CIFARShuffleNetV1': (classifier(960, type='skd_mm.CIFARShuffleNetV1'), 'head.fc'),
    'CIFARShuffleNetV2': (classifier(1024, type='skd_mm.CIFARShuffleNetV2'), 'head.fc'),
    'ResNetV1c': (segmentor(512, type='mmseg.ResNetV1c', depth=18), 'decode_head.conv_seg'),
    'MixVisionTransformer': (dict(network(), backbone=dict(
        type='mmseg.MixVisionTransformer', embed_dims=8, num_heads=[1, 2, 3, 4], num_layers=[1, 1, 1, 1]),
        decode_head=dict(MIT, in_channels=[8, 16, 24, 32])), 'decode_head.conv_seg'),
}


def built(name):
    cfg, logits = NETWORKS[name]
    torch.manual_seed(0)
    init_default_scope('mmseg')
    model = MODELS.build(cfg).eval()
    for parameter in model.parameters():
        if not parameter.any():  # what is zero at first (a residual's last scale) would hide what it is multiplied with
            nn.init.uniform_(parameter)
    net = FeatureExtractor(model)
    image = torch.randn(1, 3, 64, 64)

    def call():
        return model(image, mode='tensor')

    if name == 'VGG':  # has no stages by name; they end with its poolings
        ends = [path for path, module in model.named_modules() if isinstance(module, nn.MaxPool2d)]
    else:
        ends = [end for end, _ in backbone_stages(net, call)]
    return net, call, [*ends, logits]


@pytest.mark.parametrize('name', NETWORKS)
def test_networks_are_entered_behind_each_stage_of_their_backbone(name):
    net, call, ends = built(name)
    entries = find_stage_entries(net, call, ends)
    notes = dict.fromkeys(recorded_paths(entries))
    with torch.no_grad():
        _, features = net.run(call, capture=ends, record=notes, record_fn=placeholder)
        # The given feature determines the output: another feature leads to another output.
        for k in range(1, len(ends)):
            given = [features[end] for end in ends[:k]]
            assert same_bits(run_from_stage(net, call, entries, given, notes), features[ends[k]])
            given[-1] = given[-1] + 1
            assert not torch.allclose(run_from_stage(net, call, entries, given, notes), features[ends[k]])


@pytest.mark.parametrize('cut', ['backbone.layer1.0.conv1', 'backbone.layer2.1.conv2'])
def test_a_cut_inside_a_residual_block_is_refused(cut):
    net, call, ends = built('ResNet')
    with pytest.raises(ValueError, match=r'\(ImageClassifier\) cannot be run from before .*Networks that can'):
        find_stage_entries(net, call, [cut, ends[-1]])


def test_the_order_must_be_that_of_the_forward():
    net, call, ends = built('ResNet')
    with pytest.raises(ValueError, match='runs its modules in the order'):
        find_stage_entries(net, call, [ends[1], ends[0], ends[-1]])


def test_the_last_end_must_be_the_output():
    net, call, ends = built('ResNet')
    with pytest.raises(ValueError, match=r"'backbone.layer4' does not give the logits"):
        find_stage_entries(net, call, ends[:-1])


def test_finding_entries_leaves_no_trace():
    net, call, ends = built('CIFARResNet')
    before = state(net.model)
    find_stage_entries(net, call, ends)
    assert not differing(before, state(net.model))
    assert not any('forward' in module.__dict__ or module._forward_hooks for module in net.model.modules())


def test_a_constant_model_hands_gradients_on_and_takes_none():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1)).train()
    model[3].requires_grad_(False)
    model[2].eval()
    before = state(model)
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    with constant(model):
        y = model(x)
        assert torch.equal(y, model(x))
    y.sum().backward()
    assert x.grad.any() and all(parameter.grad is None for parameter in model.parameters())
    assert not differing(before, state(model))
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, True, False, False]
    assert [module.training for module in model] == [True, True, False, True]


def test_a_constant_model_is_restored_behind_an_error():
    model = nn.Sequential(nn.Conv2d(3, 4, 1)).train()
    with pytest.raises(RuntimeError), constant(model):
        model(torch.zeros(1, 9, 1, 1))
    assert model.training and model[0].weight.requires_grad
