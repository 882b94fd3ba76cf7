import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import AfDCDLoss

SHAPE, SMALL = (5, 6, 4, 6), dict(feature=0, contrast=1, groups=3, pool=1, patch=2)


def contrast(own, positive, negatives, temperature):
    scores = [torch.exp(-sum((own - other).abs()) / temperature) for other in [positive, *negatives]]
    return -torch.log(scores[0] / sum(scores))


def formula(student, teacher, groups=3, patch=2, temperature=0.07, weights=(0, 1), pooled=lambda feature: feature):
    values = []
    for b in range(len(student)):
        f_s, f_t = pooled(student)[b], pooled(teacher)[b]
        width, total = len(f_s) // groups, 0
        height, length = (side // patch * patch for side in f_s.shape[1:])
        for top in range(0, height, patch):
            for left in range(0, length, patch):
                places = [(y, x) for y in range(top, top + patch) for x in range(left, left + patch)]
                parts = {(y, x, m): [side[m * width:(m + 1) * width, y, x] for side in (f_s, f_t)]
                         for y, x in places for m in range(groups)}
                for (_, _, m), (own, positive) in parts.items():
                    negatives = [other for (_, _, k), (_, other) in parts.items() if k != m]
                    total = total + contrast(own, positive, negatives, temperature)
        errors = sum(((one - other)**2).sum() for one, other in zip(student[b], teacher[b], strict=True))
        values.append(weights[0] * errors + weights[1] * total / (height * length))
    return torch.stack(values)


@pytest.mark.parametrize('temperature', [0.5, 2])
def test_equals_its_formula(agrees, temperature):
    agrees(AfDCDLoss(temperature=temperature, **SMALL), lambda s, t: formula(s, t, temperature=temperature),
           torch.randn(SHAPE).double(), torch.randn(SHAPE).double())


def test_pools_and_leaves_out_what_makes_no_patch(agrees):
    student, teacher = torch.randn(2, 6, 11, 8).double(), torch.randn(2, 6, 11, 8).double()
    agrees(AfDCDLoss(0.3, 0.7, 0.5, groups=3, pool=2, patch=2),
           lambda s, t: formula(s, t, temperature=0.5, weights=(0.3, 0.7), pooled=lambda f: F.max_pool2d(f, 2)),
           student, teacher)


@pytest.mark.parametrize('chunk', [1, 300, 2**20])
def test_chunks_change_nothing(agrees, chunk):
    agrees(AfDCDLoss(temperature=0.5, chunk=chunk, **SMALL), AfDCDLoss(temperature=0.5, **SMALL),
           torch.randn(SHAPE).double(), torch.randn(SHAPE).double())


def test_the_defaults_are_those_of_the_code():
    loss = AfDCDLoss()
    assert (loss.feature, loss.contrast) == (2e-6, 0.005)
    assert (loss.temperature, loss.groups, loss.pool, loss.patch) == (0.07, 16, 4, 4)
    vectors, count = loss._vectors(torch.randn(2, 64, 64, 128))
    assert vectors.shape == (2 * 4 * 8, 256, 4) and count == 16 * 32


def test_decomposes_by_sample(decomposes):
    decomposes(AfDCDLoss(temperature=0.5, **SMALL), torch.randn(SHAPE).double(), torch.randn(SHAPE).double())


def test_keeps_precision(keeps_precision):
    keeps_precision(AfDCDLoss(temperature=0.5, **SMALL), torch.randn(SHAPE), torch.randn(SHAPE))


def test_a_map_smaller_than_a_patch_has_the_squared_errors_alone():
    student, teacher = torch.randn(2, 6, 8, 8), torch.randn(2, 6, 8, 8)
    expected = 0.5 * (student - teacher).square().sum((1, 2, 3))
    torch.testing.assert_close(AfDCDLoss(feature=0.5, groups=3)(student, teacher), expected)


def test_equal_and_distant_features_give_numbers(gradients):
    teacher = 100 * torch.randn(SHAPE)
    value, (grad, _) = gradients(AfDCDLoss(**SMALL), teacher, teacher)
    assert value.abs().max() < 1e-4 and grad.isfinite().all()
    value, (grad, _) = gradients(AfDCDLoss(**SMALL), -teacher, teacher)
    assert (value > 10).all() and value.isfinite().all() and grad.isfinite().all()


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'AfDCDLoss .*PoolToSmaller'):
        AfDCDLoss()(torch.ones(2, 16, 4, 4), torch.ones(2, 16, 2, 2))
    with pytest.raises(ValueError, match=r'AfDCDLoss: `groups` \(16\) must divide the number of channels, 6'):
        AfDCDLoss()(torch.ones(SHAPE), torch.ones(SHAPE))
    for key in ('temperature', 'groups', 'pool', 'patch', 'chunk'):
        with pytest.raises(ValueError, match=f'AfDCDLoss: `{key}` must be positive'):
            AfDCDLoss(**{key: 0})
