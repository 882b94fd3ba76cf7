import pytest
import torch

from skd_mm.connectors import GlobalPool, PoolToSmaller


@pytest.mark.parametrize(('one', 'other', 'both'), [
    ((4, 6), (2, 3), (2, 3)), ((2, 3), (4, 6), (2, 3)), ((4, 2), (2, 4), (2, 2)), ((5, 7), (3, 4), (3, 4))])
def test_both_sides_come_to_the_coarser_resolution(one, other, both):
    pool = PoolToSmaller()
    one, other = torch.randn(2, 3, *one), torch.randn(2, 5, *other)
    assert pool(one, other).shape == (2, 3, *both) and pool(other, one).shape == (2, 5, *both)


def test_pools_by_means():
    feature = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(PoolToSmaller()(feature, torch.empty(2, 1, 2, 3)),
                               feature.reshape(2, 3, 2, 2, 3, 2).mean((3, 5)))


def test_leaves_alone_what_is_not_finer():
    feature = torch.randn(2, 3, 4, 4)
    assert PoolToSmaller()(feature, torch.empty(2, 1, 4, 4)) is feature
    assert PoolToSmaller()(feature, torch.empty(2, 1, 8, 4)) is feature


def test_global_pool():
    feature = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(GlobalPool()(feature, None), feature.mean((2, 3)))
    tokens = torch.randn(2, 5, 3)
    torch.testing.assert_close(GlobalPool()(tokens, None), tokens.mean(1))
    vectors = torch.randn(2, 3)
    assert GlobalPool()(vectors, None) is vectors
