"""The pooling of SKD's classifiers."""

import torch

from skd_mm.models import ConcatPooling
from skd_mm.registry import MODELS


def test_pools_the_last_feature_by_maximum_and_average():
    neck = ConcatPooling(in_channels=3, out_channels=6)
    torch.nn.init.eye_(neck.fc.weight)
    torch.nn.init.zeros_(neck.fc.bias)
    feature = torch.randn(2, 3, 4, 5)
    out, = neck((torch.randn(2, 8, 8, 8), feature))
    expected = torch.cat([feature.flatten(2).max(2).values, feature.flatten(2).mean(2)], dim=1)
    torch.testing.assert_close(out, expected.clamp(min=0))


def test_parameters():
    assert sum(parameter.numel() for parameter in ConcatPooling().parameters()) == 1024 * 256 + 256


def test_is_registered():
    assert MODELS.get('skd_mm.ConcatPooling') is ConcatPooling
