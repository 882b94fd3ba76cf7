"""The VGGs for 32x32 images."""

import pytest
import torch
from torch import nn

from skd_mm.models import CIFARVGG
from skd_mm.registry import MODELS


def test_a_layer_begins_with_its_pooling():
    net = CIFARVGG(13)
    poolings = {name: [index for index, module in enumerate(getattr(net, name)) if isinstance(module, nn.MaxPool2d)]
                for name in net.stages}
    assert poolings == {'stem': [], 'layer1': [0], 'layer2': [0], 'layer3': [0], 'layer4': []}


def test_a_fourth_pooling_for_64x64_images():
    net = CIFARVGG(8, out_indices=(0, 4), num_pools=4)
    assert [tuple(out.shape) for out in net(torch.randn(1, 3, 64, 64))] == [(1, 64, 64, 64), (1, 512, 4, 4)]


def test_initialisation():
    torch.manual_seed(0)
    net = CIFARVGG(8)
    net.init_weights()
    conv = net.layer4[0].conv
    assert conv.weight.std().item() == pytest.approx((2 / (512 * 9))**0.5, rel=0.01) and (conv.bias == 0).all()


def test_train_returns_the_network_and_it_is_registered():
    net = CIFARVGG(8)
    assert net.eval() is net and not net.layer1.training
    assert MODELS.get('skd_mm.CIFARVGG') is CIFARVGG


@pytest.mark.parametrize('kwargs, message', [
    (dict(depth=9), r'depth=9 is not a VGG; the depths are \[8, 11, 13, 16, 19\]'),
    (dict(depth=8, out_indices=(5, )), r'\[5\] cannot be an output of CIFARVGG; .* 4 \(layer4\)'),
])
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CIFARVGG(**kwargs)
