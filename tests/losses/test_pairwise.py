import math

import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import SKDSPairwiseLoss

STUDENT, TEACHER = (5, 3, 5, 4), (5, 4, 5, 4)


def regions(feature, kernel):
    """A map to the maxima of blocks, those at the edge with what is left: a list of vectors."""
    high, wide = kernel
    return [feature[:, y:y + high, x:x + wide].flatten(1).max(1).values
            for y in range(0, feature.shape[1], high) for x in range(0, feature.shape[2], wide)]


def formula(student, teacher, kernel=(2, 2), detach=True):
    values = []
    for f_s, f_t in zip(student, teacher, strict=True):
        sides = []
        for feature in (f_s, f_t):
            vectors = []
            for vector in regions(feature, kernel):
                length = sum(value**2 for value in vector)**0.5
                vectors.append(vector / (length.detach() + 1e-8 if detach else length))
            sides.append(vectors)
        one, other = sides
        total = sum((sum(one[i] * one[j]) - sum(other[i] * other[j]))**2
                    for i in range(len(one)) for j in range(len(one)))
        values.append(total / len(one)**2)
    return torch.stack(values)


def test_equals_its_formula(agrees):
    agrees(SKDSPairwiseLoss(), formula, torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


def test_cirkds_form_equals_its_formula(agrees):
    agrees(SKDSPairwiseLoss(pool=3, detach_norm=False), lambda s, t: formula(s, t, (3, 3), False),
           torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


@pytest.mark.parametrize(('pool', 'size', 'count'), [
    (0.5, (65, 65), 9), (0.5, (64, 64), 4), (0.5, (1, 1), 1), (0.25, (65, 8), 20),
    (2, (45, 45), 23**2), (2, (4, 6), 6)])
def test_the_number_of_regions(pool, size, count):
    assert SKDSPairwiseLoss(pool)._similarities(torch.randn(2, 3, *size)).shape == (2, count, count)


def test_gradcheck_with_the_length():
    teacher, loss = torch.randn(TEACHER).double(), SKDSPairwiseLoss(2, detach_norm=False)
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), torch.randn(STUDENT).double().requires_grad_())


def test_decomposes_by_sample(decomposes):
    decomposes(SKDSPairwiseLoss(), torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


@pytest.mark.parametrize('detach', [True, False])
def test_keeps_precision(keeps_precision, detach):
    keeps_precision(SKDSPairwiseLoss(2, detach), torch.randn(STUDENT), torch.randn(TEACHER))


@pytest.mark.parametrize('detach', [True, False])
def test_a_rotation_of_the_channels_and_the_scale_do_not_matter(detach):
    student, loss = torch.randn(STUDENT).double(), SKDSPairwiseLoss(1, detach)
    basis = torch.linalg.qr(torch.randn(4, 4).double()).Q[:, :3]
    rotated = torch.einsum('dc,bcyx->bdyx', basis, 3 * student)
    assert loss(student, rotated).abs().max() < 1e-7
    assert (loss(student, torch.randn(TEACHER).double()) > 1e-3).all()


@pytest.mark.parametrize('detach', [True, False])
def test_a_dead_region_gives_numbers(gradients, detach):
    student, teacher = F.relu(torch.randn(STUDENT)), F.relu(torch.randn(TEACHER))
    student[:, :, :2, :2] = 0
    value, (grad, _) = gradients(SKDSPairwiseLoss(2, detach), student, teacher)
    assert value.isfinite().all() and grad.isfinite().all() and grad.abs().max() < 10


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'SKDSPairwiseLoss .*PoolToSmaller'):
        SKDSPairwiseLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
    for pool in (0, -1, 1.5, True, math.nan):
        with pytest.raises(ValueError, match='SKDSPairwiseLoss: `pool`'):
            SKDSPairwiseLoss(pool)
