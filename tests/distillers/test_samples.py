"""What data samples tell: see also the cache's tests in test_distiller.py."""

import copy

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from skd_mm.distillers.samples import equal, sample_keys, training_keys
from skd_mm.utils import INDEX, VIEW
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


def test_the_keys_of_a_batch_are_known_before_it_is_loaded():
    for samples in ([(3, ), (0, )], [(3, 1), (0, 1)]):
        data_samples = [SegDataSample(metainfo=dict(zip((INDEX, VIEW), sample, strict=False))) for sample in samples]
        assert training_keys(samples, (3, 8, 9)) == sample_keys(data_samples, (3, 8, 9))
