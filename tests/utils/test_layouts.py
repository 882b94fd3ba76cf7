import pytest
import torch

from skd_mm.utils import Layout, find_layout, token_grid


@pytest.mark.parametrize(('shape', 'image', 'expected'), [
    ((8, ), (64, 64), Layout('vector', 8)),
    ((8, 4, 4), (64, 64), Layout('map', 8, (4, 4))),
    ((4, 4, 8), (64, 64), Layout('channels_last', 8, (4, 4))),
    ((16, 16, 32), (64, 64), Layout('channels_last', 32, (16, 16))),
    ((16, 16, 16), (64, 64), Layout('map', 16, (16, 16))),  # both are possible
    ((4, 8, 6), (64, 128), Layout('channels_last', 6, (4, 8))),
    ((8, 9, 9), (64, 64), Layout('map', 8, (9, 9))),  # no whole stride, but no other reading either
    ((4, 4, 8), None, Layout('map', 4, (4, 8))),
    ((16, 8), (64, 64), Layout('tokens', 8, (4, 4))),
    ((17, 8), (64, 64), Layout('tokens', 8, (4, 4), 1)),  # ViT
    ((18, 8), (64, 64), Layout('tokens', 8, (4, 4), 2)),  # DeiT with its distillation token
    ((21, 8), (64, 64), Layout('tokens', 8, (4, 4), 5)),  # DINOv3
    ((33, 8), (64, 128), Layout('tokens', 8, (4, 8), 1)),
    ((2702, 8), (518, 1022), Layout('tokens', 8, (37, 73), 1)),
    ((17, 8), None, Layout('tokens', 8, (4, 4), 1)),
    ((2, 3, 4, 5), (64, 64), Layout('other', 2)),
])
def test_the_layout_follows_from_the_shape_and_the_image(shape, image, expected):
    assert find_layout(torch.zeros(1, *shape), image) == expected


@pytest.mark.parametrize(('count', 'image', 'grid'), [
    (16, None, (4, 4)), (32, (64, 128), (4, 8)), (32, (128, 64), (8, 4)), (2701, (518, 1022), (37, 73)),
    (196, (224, 224), (14, 14)), (7, (64, 64), (1, 7)), (1, (64, 64), (1, 1))])
def test_tokens_get_the_aspect_ratio_of_the_image(count, image, grid):
    found = token_grid(count, image)
    assert found == grid or (count == 7 and found == (7, 1))
