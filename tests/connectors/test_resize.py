import pytest
import torch
from torch.nn import functional as F

from skd_mm.connectors import Resize


@pytest.mark.parametrize('mode', ['nearest', 'bilinear', 'bicubic', 'area'])
def test_takes_the_partners_resolution(mode):
    feature = torch.randn(2, 3, 4, 6)
    resized = Resize(mode)(feature, torch.zeros(2, 9, 8, 5))
    assert resized.shape == (2, 3, 8, 5)
    torch.testing.assert_close(resized, F.interpolate(feature, (8, 5), mode=mode))


def test_the_default_is_bilinear_without_aligned_corners():
    feature = torch.randn(1, 1, 4, 4)
    expected = F.interpolate(feature, (7, 7), mode='bilinear', align_corners=False)
    torch.testing.assert_close(Resize()(feature, torch.zeros(1, 1, 7, 7)), expected)


def test_is_the_identity_where_the_resolutions_agree():
    feature = torch.randn(2, 3, 4, 4)
    assert Resize()(feature, torch.zeros(2, 9, 4, 4)) is feature


def test_has_nothing_to_train():
    assert not Resize(in_channels=3, out_channels=5).state_dict()
