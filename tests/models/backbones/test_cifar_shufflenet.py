"""The ShuffleNets for 32x32 images: what differs from mmpretrain's."""

import pytest
import torch

from skd_mm.models import CIFARShuffleNetV1, CIFARShuffleNetV2
from skd_mm.registry import MODELS


@pytest.mark.parametrize('cls', [CIFARShuffleNetV1, CIFARShuffleNetV2])
def test_the_stem_keeps_the_resolution(cls):
    net = cls()
    assert net.maxpool(net.conv1(torch.randn(1, 3, 32, 32))).shape == (1, 24, 32, 32)
    assert tuple(net.conv1.conv.weight.shape) == (24, 3, 1, 1)
    assert MODELS.get(f'skd_mm.{cls.__name__}') is cls


def test_bottlenecks_are_a_quarter_of_what_a_unit_adds():
    net = CIFARShuffleNetV1()
    assert [[layer[k].depthwise_conv3x3_bn.out_channels for k in (0, 1)] for layer in net.layers] == [
        [54, 60], [60, 120], [120, 240]]
    assert [layer[0].g_conv_1x1_compress.groups for layer in net.layers] == [1, 3, 3]


def test_a_relu_behind_the_depthwise_convolution_and_the_unit():
    net = CIFARShuffleNetV1()
    outs = []
    for name, module in net.named_modules():
        if name.endswith('depthwise_conv3x3_bn') or (name.count('.') == 2 and name[-1].isdigit()):
            module.register_forward_hook(lambda _, __, out: outs.append(out))
    net(torch.randn(2, 3, 32, 32))
    assert len(outs) == 32 and all((out >= 0).all() for out in outs)
