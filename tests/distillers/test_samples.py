"""What data samples tell: see also the cache's tests in test_distiller.py."""

import copy

import torch
from mmengine.structures import PixelData

from skd_mm.distillers.samples import equal
from tests.helpers import batch


def test_samples_are_equal_where_all_their_tensors_are():
    one = batch()[1][0]
    one.seg_logits = PixelData(data=torch.randn(3, 16, 16))
    other = copy.deepcopy(one)
    other.set_metainfo(dict(img_path='elsewhere.png'))
    assert equal(one, other)
    other.seg_logits.data[0, 0, 0] += 1
    assert not equal(one, other)
    other = copy.deepcopy(one)
    del other.seg_logits
    assert not equal(one, other) and not equal(other, one)
