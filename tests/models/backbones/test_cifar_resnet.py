"""The 3-stage ResNets: what differs from mmpretrain's ResNet_CIFAR."""

import pytest
import torch
from torch import nn

from skd_mm.models import CIFARResNet
from skd_mm.registry import MODELS


def test_shape_changing_shortcuts_are_convolutions_with_bn():
    net = CIFARResNet(20)
    kinds = {name: [type(module) for module in block.downsample] for name, block in net.named_modules()
             if getattr(block, 'downsample', None) is not None}
    assert kinds == {'layer2.0': [nn.Conv2d, nn.BatchNorm2d], 'layer3.0': [nn.Conv2d, nn.BatchNorm2d]}
    assert (net.conv1.stride, net.layer2[0].conv1.stride) == ((1, 1), (2, 2)) and not hasattr(net, 'maxpool')


def test_no_block_starts_at_zero():
    net = CIFARResNet(8)
    net.init_weights()
    assert all((module.weight == 1).all() for module in net.modules() if isinstance(module, nn.BatchNorm2d))


def test_mmpretrains_arguments_work():
    net = CIFARResNet(8, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), frozen_stages=1)
    assert [tuple(out.shape) for out in net(torch.randn(1, 3, 32, 32))] == [(1, 16, 32, 32), (1, 32, 16, 16)]
    assert {name.split('.')[0] for name, p in net.named_parameters() if p.requires_grad} == {'layer2'}


def test_is_registered():
    assert MODELS.get('skd_mm.CIFARResNet') is CIFARResNet


@pytest.mark.parametrize('depth, near', [(18, '14 and 20'), (34, '32 and 38'), (0, '8 and 14')])
def test_a_wrong_depth_is_named(depth, near):
    with pytest.raises(ValueError, match=rf'depth={depth} is not 6n \+ 2.*; {near} are'):
        CIFARResNet(depth)
