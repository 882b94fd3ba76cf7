"""MobileNetV2 for 32x32 images: what differs from mmpretrain's."""

import pytest
import torch
from torch import nn

from skd_mm.models import CIFARMobileNetV2
from skd_mm.registry import MODELS


def test_every_block_expands():
    net = CIFARMobileNetV2()
    first = net.layer1[0].conv
    assert [tuple(part.conv.weight.shape) for part in first] == [(32, 32, 1, 1), (32, 1, 3, 3), (16, 32, 1, 1)]
    assert net.layer2[0].conv[0].conv.out_channels == 6 * 16


def test_channels_are_cut_not_rounded():
    net = CIFARMobileNetV2(widen_factor=0.5)
    channels = [getattr(net, f'layer{k}')[-1].conv[-1].conv.out_channels for k in range(1, 8)]
    assert channels == [8, 12, 16, 32, 48, 80, 160]
    assert net.conv2.conv.in_channels == 160
    assert net(torch.randn(1, 3, 32, 32))[0].shape == (1, 1280, 2, 2)


def test_relu_unless_said_otherwise():
    assert not any(isinstance(module, nn.ReLU6) for module in CIFARMobileNetV2(widen_factor=0.25).modules())
    six = CIFARMobileNetV2(widen_factor=0.25, act_cfg=dict(type='ReLU6'))
    assert any(isinstance(module, nn.ReLU6) for module in six.modules())


@pytest.mark.parametrize('widen_factor', [0, 0.3, -1])
def test_a_wrong_factor_is_named(widen_factor):
    with pytest.raises(ValueError, match=f'widen_factor={widen_factor} is not a multiple of 0.25'):
        CIFARMobileNetV2(widen_factor=widen_factor)


def test_is_registered():
    assert MODELS.get('skd_mm.CIFARMobileNetV2') is CIFARMobileNetV2
