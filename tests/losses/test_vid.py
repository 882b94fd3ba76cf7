import math

import pytest
import torch

from skd_mm.losses import VIDLoss

SHAPE = (5, 3, 4, 2)


def features(dtype=torch.float64):
    mean, teacher = torch.randn(2, *SHAPE, dtype=dtype)
    return (mean, torch.rand(5, 3, 1, 1, dtype=dtype) + 0.5), teacher


def formula(student, teacher):
    values = []
    for mean, variance, target in zip(*student, teacher, strict=True):
        total = 0
        for c in range(3):
            for y in range(4):
                for x in range(2):
                    total = total + 0.5 * ((mean[c, y, x] - target[c, y, x])**2 / variance[c, 0, 0]
                                           + torch.log(variance[c, 0, 0]))
        values.append(total / 24)
    return torch.stack(values)


def test_equals_its_formula(agrees):
    agrees(VIDLoss(), formula, *features())


def test_is_the_likelihood_of_a_gaussian_without_its_constant():
    (mean, variance), teacher = features()
    expected = -torch.distributions.Normal(mean, variance.sqrt()).log_prob(teacher).flatten(1).mean(1)
    torch.testing.assert_close(VIDLoss()((mean, variance), teacher) + 0.5 * math.log(2 * math.pi), expected)


def test_gradcheck():
    (mean, variance), teacher = features()
    assert torch.autograd.gradcheck(lambda m, v: VIDLoss()((m, v), teacher),
                                    (mean.requires_grad_(), variance.requires_grad_()))


def test_decomposes_by_sample(decomposes):
    decomposes(VIDLoss(), *features())


def test_keeps_precision(keeps_precision):
    keeps_precision(VIDLoss(), *features(torch.float32))


def test_the_exact_mean_is_the_minimum(gradients):
    (_, variance), teacher = features()
    value, (grad, *_) = gradients(VIDLoss(), (teacher, variance), teacher)
    assert not grad.any()
    assert (VIDLoss()((teacher + 0.1 * torch.randn_like(teacher), variance), teacher) > value).all()


def test_refuses_a_feature_without_a_variance_and_another_shape():
    (mean, variance), teacher = features()
    with pytest.raises(ValueError, match=r"VIDLoss needs.*type='VarianceHead'"):
        VIDLoss()(mean, teacher)
    with pytest.raises(ValueError, match=r'VIDLoss.*\[5, 3, 4, 2\].*\[5, 3, 2, 2\].*PoolToSmaller'):
        VIDLoss()((mean, variance), teacher[:, :, :2])
