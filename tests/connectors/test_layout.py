import pytest
import torch

from skd_mm.connectors import ChannelsFirst, TokensToMap
from skd_mm.registry import CONNECTORS, build


@pytest.mark.parametrize(('extra', 'image', 'grid'), [(0, (64, 64), (4, 4)), (1, None, (4, 4)), (5, (64, 128), (2, 4))])
def test_tokens_become_a_map_without_those_of_no_position(extra, image, grid):
    wanted = torch.randn(2, 3, *grid)
    tokens = torch.cat([torch.full((2, extra, 3), 9.), wanted.flatten(2).transpose(1, 2)], dim=1)
    connector = build(CONNECTORS, dict(type='TokensToMap', extra_tokens=extra), in_channels=3, out_channels=7)
    assert torch.equal(connector(tokens, None, image), wanted)


def test_the_gradient_reaches_the_tokens_of_the_map_alone():
    tokens = torch.randn(2, 5, 3, requires_grad=True)
    (2 * TokensToMap(extra_tokens=1)(tokens, None)).sum().backward()
    assert torch.equal(tokens.grad, torch.tensor([0., 2, 2, 2, 2])[None, :, None].expand(2, 5, 3))


@pytest.mark.parametrize('extra', [-1, 1.0, True])
def test_a_wrong_number_of_extra_tokens(extra):
    with pytest.raises(ValueError, match='TokensToMap: `extra_tokens` must be a number of tokens'):
        TokensToMap(extra_tokens=extra)


@pytest.mark.parametrize('shape', [(2, 3, 4, 4), (2, 1, 3), (2, 3)])
def test_tokens_to_map_refuses_other_features(shape):
    with pytest.raises(ValueError, match=r'takes tokens \[B, N, C\] with N greater than 1'):
        TokensToMap(extra_tokens=1)(torch.zeros(shape), None)


def test_channels_are_moved_to_the_front():
    feature = torch.randn(2, 4, 6, 3, requires_grad=True)
    moved = build(CONNECTORS, dict(type='ChannelsFirst'), in_channels=3, out_channels=3)(feature, None)
    assert torch.equal(moved, feature.permute(0, 3, 1, 2))
    moved[:, 1].sum().backward()
    assert torch.equal(feature.grad, torch.tensor([0., 1, 0]).expand(2, 4, 6, 3))
    with pytest.raises(ValueError, match=r'takes maps \[B, H, W, C\]'):
        ChannelsFirst()(torch.zeros(2, 3, 4), None)
