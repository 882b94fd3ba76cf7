"""The ResNets: counts, outputs, torchvision's names, and what mmsegmentation's users rely on."""

import pytest
import torch
from torch import nn

from skd_mm.models import ResNet
from skd_mm.registry import MODELS

# SKD's table of U-Nets (12 outputs) minus the decoder's 3,151,552 and the head's 1,740.
PARAMETERS = {10: 4_905_792, 14: 10_807_104, 18: 11_176_512, 20: 12_357_184, 26: 17_447_232, 34: 21_284_672}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('depth', PARAMETERS)
def test_parameters(depth):
    net = ResNet(depth)
    assert count(net) == PARAMETERS[depth]
    assert count(net.conv1) + count(net.bn1) == 9536


@pytest.mark.parametrize('depth', [18, 34])
def test_torchvision_weights_fit_and_give_the_same_features(depth):
    torchvision = pytest.importorskip('torchvision')
    theirs = getattr(torchvision.models, f'resnet{depth}')(weights=None).eval()
    ours = ResNet(depth).eval()
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not missing and sorted(unexpected) == ['fc.bias', 'fc.weight']
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        x = theirs.relu(theirs.bn1(theirs.conv1(images)))
        features = [x]
        x = theirs.maxpool(x)
        for name in ('layer1', 'layer2', 'layer3', 'layer4'):
            x = getattr(theirs, name)(x)
            features.append(x)
        for got, expected in zip(ours(images), features, strict=True):
            torch.testing.assert_close(got, expected)


def test_pretrained_through_init_cfg(tmp_path):
    source = ResNet(10, width=0.25)
    torch.save(source.state_dict(), tmp_path / 'weights.pth')
    net = ResNet(10, width=0.25, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth')))
    net.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(net.state_dict()[name], value), name


def test_random_initialisation_is_torchvisions():
    torch.manual_seed(0)
    net = ResNet(10)
    net.init_weights()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all() and (module.bias == 0).all()
    weight = net.layer4[0].conv2.weight  # Kaiming normal, fan-out
    assert weight.std().item() == pytest.approx((2 / (512 * 9))**0.5, rel=0.01)


def test_outputs_of_a_thin_net():
    net = ResNet(14, width=0.25)
    shapes = [tuple(out.shape) for out in net(torch.randn(2, 3, 64, 96))]
    assert shapes == [(2, 16, 32, 48), (2, 16, 16, 24), (2, 32, 8, 12), (2, 64, 4, 6), (2, 128, 2, 3)]
    assert all((out >= 0).all() for out in net(torch.randn(2, 3, 64, 96)))


def test_out_indices_choose_outputs():
    net = ResNet(10, width=0.25).eval()
    images = torch.randn(1, 3, 64, 64)
    every = net(images)
    net.out_indices = (0, 3)
    chosen = net(images)
    assert len(chosen) == 2 and torch.equal(chosen[0], every[0]) and torch.equal(chosen[1], every[3])
    assert [out.shape[1] for out in ResNet(10, width=0.25, out_indices=(4, ))(images)] == [128]


def test_captured_features_are_never_written_to():
    net = ResNet(18, width=0.25)
    names = ['relu', 'layer1', 'layer2', 'layer3', 'layer4']
    captured = []
    for name in names:
        net.get_submodule(name).register_forward_hook(lambda _, __, out: captured.append((out, out.clone())))
    outs = net(torch.randn(2, 3, 64, 64))
    assert len(captured) == 5
    for (seen, copy), out in zip(captured, outs, strict=True):
        assert seen is out and torch.equal(seen, copy)


def test_frozen_stages_norm_eval_and_checkpointing():
    net = ResNet(10, width=0.25, frozen_stages=1, norm_eval=True, with_cp=True)
    net.train()
    frozen = {name.split('.')[0] for name, parameter in net.named_parameters() if not parameter.requires_grad}
    assert frozen == {'conv1', 'bn1', 'layer1'}
    assert not any(module.training for module in net.modules() if isinstance(module, nn.BatchNorm2d))
    sum(out.sum() for out in net(torch.randn(2, 3, 32, 32))).backward()
    assert net.layer4[0].conv2.weight.grad is not None


def test_norm_cfg():
    net = ResNet(10, width=0.25, norm_cfg=dict(type='GN', num_groups=4))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert len(net(torch.randn(1, 3, 32, 32))) == 5


def test_serves_mmpretrains_classifier():
    from mmpretrain.models import ImageClassifier
    model = ImageClassifier(
        backbone=dict(type='skd_mm.ResNet', depth=10, out_indices=(4, )),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=512))
    assert isinstance(model.backbone, ResNet)
    assert model(torch.randn(2, 3, 32, 32), mode='tensor').shape == (2, 5)


def test_is_registered():
    assert MODELS.get('skd_mm.ResNet') is ResNet


@pytest.mark.parametrize('kwargs, message', [
    (dict(depth=50), r'depth=50 .*\[10, 14, 18, 20, 26, 34\]'),
    (dict(depth=10, width=0.3), 'width=0.3 turns 64 channels into 19.2'),
    (dict(depth=10, width=0), 'width=0'),
    (dict(depth=10, out_indices=(0, 5)), r'\[5\] cannot be an output'),
    (dict(depth=10, out_indices=()), 'nothing cannot be an output'),
])
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ResNet(**kwargs)
