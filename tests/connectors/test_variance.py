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


def test_the_variance_learns_what_the_mean_cannot_explain():
    head, feature = VarianceHead(1, 2), torch.ones(8, 1, 8, 8)
    spread = torch.tensor([0.5, 2.0])[:, None, None]
    target = 1 + spread * torch.randn(8, 2, 8, 8)
    for _ in range(150):
        loss = VIDLoss()(head(feature, target), target).mean()
        for weight, grad in zip(head.parameters(), torch.autograd.grad(loss, list(head.parameters())), strict=True):
            weight.data -= 0.5 * grad
    mean, variance = head(feature, target)
    torch.testing.assert_close(variance[0, :, 0, 0], (target - mean).square().mean((0, 2, 3)), rtol=0.1, atol=0)


def test_refuses_a_variance_below_eps():
    with pytest.raises(ValueError, match='init_variance'):
        VarianceHead(1, 1, init_variance=1e-6)
