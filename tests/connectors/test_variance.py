import pytest
import torch
from torch.nn import functional as F

from skd_mm.connectors import VarianceHead
from skd_mm.losses import VIDLoss


def test_the_mean_is_three_convolutions_of_the_partners_width():
    head, feature = VarianceHead(3, 5), torch.randn(2, 3, 4, 4)
    mean, _ = head(feature, None)
    weights = [parameter for parameter in head.parameters() if parameter.dim() == 4]
    assert [tuple(weight.shape) for weight in weights] == [(5, 3, 1, 1), (5, 5, 1, 1), (5, 5, 1, 1)]
    assert sum(parameter.numel() for parameter in head.parameters()) == 15 + 25 + 25 + 5  # no biases, a variance each
    expected = F.conv2d(F.relu(F.conv2d(F.relu(F.conv2d(feature, weights[0])), weights[1])), weights[2])
    torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize('start', [5, 0.5])
def test_the_variance_starts_where_it_should_and_stays_above_eps(start):
    head = VarianceHead(3, 5, init_variance=start)
    _, variance = head(torch.randn(2, 3, 4, 4), None)
    assert variance.shape == (2, 5, 1, 1)
    torch.testing.assert_close(variance, torch.full_like(variance, start))
    with torch.no_grad():
        head.alpha.fill_(-1e4)
    assert (head(torch.randn(2, 3, 4, 4), None)[1] == 1e-5).all()


def test_starts_at_five_by_default():
    torch.testing.assert_close(VarianceHead(1, 1)(torch.ones(1, 1, 1, 1), None)[1].item(), 5., rtol=1e-6, atol=0)


def test_samples_are_chosen_from_both_alike():
    mean, variance = VarianceHead(3, 5)(torch.randn(4, 3, 2, 2), None)
    chosen = torch.tensor([True, False, False, True])
    assert VIDLoss()((mean[chosen], variance[chosen]), torch.randn(2, 5, 2, 2)).shape == (2,)


def test_the_best_variance_is_what_the_mean_leaves_unexplained():
    head, feature, target = VarianceHead(3, 2), torch.randn(8, 3, 4, 4), torch.randn(8, 2, 4, 4)
    unexplained = (head(feature, target)[0] - target).square().mean((0, 2, 3)).detach()
    for factor in (0.5, 1, 2):
        head.alpha.data = (factor * unexplained - 1e-5).expm1().log()[:, None, None]
        (grad,) = torch.autograd.grad(VIDLoss()(head(feature, target), target).mean(), head.alpha)
        # Below it the gradient wants it larger, above it smaller.
        torch.testing.assert_close(grad.sign() if factor != 1 else (grad / 1e-5).round(),
                                   torch.full_like(grad, {0.5: -1, 1: 0, 2: 1}[factor]))


def test_refuses_a_variance_below_eps():
    with pytest.raises(ValueError, match='init_variance'):
        VarianceHead(1, 1, init_variance=1e-6)
