import pytest
import torch

from skd_mm.losses import FTLoss

STUDENT, TEACHER = (5, 3, 4, 2), (5, 3, 4, 2)


def formula(student, teacher):
    values = []
    for f_s, f_t in zip(student, teacher, strict=True):
        factors = []
        for f in (f_s, f_t):
            factor = sum(channel**2 for channel in f) / len(f)
            factors.append((factor / sum(value**2 for value in factor.reshape(-1))**0.5).reshape(-1))
        values.append(sum(abs(a - b) for a, b in zip(*factors, strict=True)) / 8)
    return torch.stack(values)


def test_equals_its_formula(agrees):
    agrees(FTLoss(), formula, torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


def test_gradcheck_away_from_ties():
    teacher = torch.randn(TEACHER).double()
    assert torch.autograd.gradcheck(lambda s: FTLoss()(s, teacher), torch.randn(STUDENT).double().requires_grad_())


def test_decomposes_by_sample_and_is_zero_for_none(decomposes, gradients):
    decomposes(FTLoss(), torch.randn(STUDENT).double(), torch.randn(TEACHER).double())
    value, grads = gradients(lambda s, t: FTLoss()(s, t).sum(), torch.randn(0, 3, 4, 2), torch.randn(0, 3, 4, 2))
    assert value == 0 and all(grad is not None for grad in grads)


def test_keeps_precision(keeps_precision):
    keeps_precision(FTLoss(), torch.randn(STUDENT), torch.randn(TEACHER))


def test_same_factors_are_the_minimum_with_a_gradient_that_is_a_number(gradients):
    factor = torch.randn(TEACHER)
    value, grads = gradients(FTLoss(), factor, factor)
    assert not value.any() and not any(grad.any() for grad in grads)


def test_refuses_other_resolutions():
    with pytest.raises(ValueError, match=r'FTLoss .*PoolToSmaller'):
        FTLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
