"""The Wide ResNets: activations moved to the stage before change nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from skd_mm.models import WideResNet
from skd_mm.registry import MODELS


def textbook(net, x):
    """The paper's order: every block begins with its own BN and ReLU, and one more pair ends the network.

    Returns the sums at the ends of the layers, and the input of the classifier.
    """
    x, sums = net.stem.conv(x), []
    moved = net.stem[1] if len(net.stem) > 1 else None  # the BN and ReLU of the next block that has none of its own
    for layer in (net.layer1, net.layer2, net.layer3):
        for block in layer.blocks:
            activation = block.preact if block.shortcut is None else moved
            activated = F.relu(activation.bn(x))
            out = block.conv2(F.relu(block.act.bn(block.conv1(activated))))
            x = out + (x if block.shortcut is None else block.shortcut(activated))
        sums.append(x)
        moved = layer.act
    return sums, F.relu(moved.bn(x))


@pytest.mark.parametrize('widen_factor', [1, 2])
def test_is_the_papers_function(widen_factor):
    net = WideResNet(16, widen_factor, out_indices=(0, 1, 2)).eval()
    for module in net.modules():  # not those of a fresh net, which hide a BN in the wrong place
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(tensor)
    sums = []
    for layer in (net.layer1, net.layer2, net.layer3):
        layer.blocks.register_forward_hook(lambda _, __, out: sums.append(out))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        outs = net(images)
        expected, last = textbook(net, images)
    torch.testing.assert_close(sums, expected)
    torch.testing.assert_close(outs[-1], last)
    assert min(total.min() for total in sums) < 0 <= min(out.min() for out in outs)


def test_norm_cfg_and_initialisation():
    torch.manual_seed(0)
    net = WideResNet(16, 2, norm_cfg=dict(type='GN', num_groups=4))
    net.init_weights()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert net.layer3.blocks[1].conv2.weight.std().item() == pytest.approx((2 / (128 * 9))**0.5, rel=0.02)


def test_train_returns_the_network_and_it_is_registered():
    net = WideResNet(10)
    assert net.eval() is net and not net.layer1.training
    assert MODELS.get('skd_mm.WideResNet') is WideResNet


@pytest.mark.parametrize('kwargs, message', [
    (dict(depth=20), r'depth=20 is not 6n \+ 4'),
    (dict(depth=4), 'depth=4'),
    (dict(depth=16, widen_factor=0.5), 'widen_factor=0.5 is not a positive integer'),
    (dict(depth=16, out_indices=(1, 3)), r'\[3\] cannot be an output of WideResNet; the outputs are 0 \(layer1\)'),
    (dict(depth=16, out_indices=()), 'nothing cannot be an output'),
])
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        WideResNet(**kwargs)
