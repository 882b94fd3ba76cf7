import torch

from skd_mm.losses import CRDLoss


def formula(student, teacher):
    total = 0
    for row_s, row_t in zip(student, teacher, strict=True):
        for row in (row_s, row_t):
            h = 1 / (1 + torch.exp(-row))
            total = total - torch.log(h[0]) - sum(torch.log(1 - value) for value in h[1:])
    return total / len(student)


def test_equals_its_formula_and_needs_one_sample(relates, agrees):
    relates(CRDLoss(), formula, torch.randn(5, 8).double(), torch.randn(5, 8).double(), agrees, minimum=1)


def test_one_sample_has_all_that_it_is_compared_with(agrees):
    agrees(CRDLoss(), formula, torch.randn(1, 8).double(), torch.randn(1, 8).double())


def test_gradcheck():
    teacher = torch.randn(5, 8).double()
    assert torch.autograd.gradcheck(lambda s: CRDLoss()(s, teacher), torch.randn(5, 8).double().requires_grad_())


def test_keeps_precision(keeps_precision):
    keeps_precision(CRDLoss(), 20 * torch.randn(5, 8), 20 * torch.randn(5, 8))


def test_certainty_of_the_right_pair_is_the_minimum(gradients):
    sure = torch.full((2, 8), -200.)
    sure[:, 0] = 200
    value, (grad, _) = gradients(CRDLoss(), sure, sure)
    assert value == 0 and not grad.any()
    value, (grad, _) = gradients(CRDLoss(), -sure, sure)
    assert value == 8 * 200 and grad.isfinite().all()  # as far from it as can be, and still a number


def test_is_the_critic_of_the_authors_code():
    """Probabilities that are multiples of 1 / n, with n images in memory, and an eps: the same loss."""
    n, k, tau, eps = 500, 7, 0.07, 1e-7
    scores = torch.randn(5, 1 + k).double() / 5
    z = (scores / tau).exp().mean() * n
    p = (scores / tau).exp() / z
    expected = -(p[:, 0] / (p[:, 0] + k / n + eps)).log() - (k / n / (p[:, 1:] + k / n + eps)).log().sum(1)
    odds = scores / tau - (scores / tau).exp().mean().log() - torch.tensor(k).double().log()
    torch.testing.assert_close(CRDLoss()(odds, odds), 2 * expected.mean(), rtol=1e-4, atol=0)
