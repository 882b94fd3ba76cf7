import copy

import pytest
import torch
from mmengine.structures import PixelData

from skd_mm.utils import tree_equal
from tests.helpers import batch


def test_data_samples_are_equal_if_all_their_tensors_are():
    one = batch()[1][0]
    one.seg_logits = PixelData(data=torch.randn(3, 16, 16))
    other = copy.deepcopy(one)
    other.set_metainfo(dict(img_path='elsewhere.png'))
    assert tree_equal(one, other)
    other.seg_logits.data[0, 0, 0] += 1
    assert not tree_equal(one, other)
    other = copy.deepcopy(one)
    del other.seg_logits
    assert not tree_equal(one, other) and not tree_equal(other, one)


A, B = torch.zeros(2), torch.ones(2)


@pytest.mark.parametrize(('one', 'other', 'expected'), [
    ((A, [B, None]), (A.clone(), [B.clone(), None]), True),
    (dict(a=A, b=B), dict(b=B, a=A), True),
    (dict(a=A, b=B), dict(a=A, c=B), False),
    (dict(a=A, b=B), dict(a=B, b=A), False),
    (dict(a=A), [A], False),
    ([A, B], [A], False),
    (A, A.double(), False),
    (A, torch.zeros(3), False),
    ([None], [A], False), ([A], [None], False),
    ('text', 3, True)])
def test_pytrees_are_equal_in_structure_and_tensors(one, other, expected):
    assert tree_equal(one, other) == expected
