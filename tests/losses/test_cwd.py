import math

import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import CWDLoss

SHAPE = (5, 3, 4, 2)


def formula(student, teacher, temperature=4):
    values = []
    for x_s, x_t in zip(student, teacher, strict=True):
        total = 0
        for one, other in zip(x_s.reshape(len(x_s), -1), x_t.reshape(len(x_t), -1), strict=True):
            q_s, q_t = (torch.exp(x / temperature) / sum(torch.exp(x / temperature)) for x in (one, other))
            total = total + sum(t * torch.log(t / s) for s, t in zip(q_s, q_t, strict=True))
        values.append(temperature**2 * total / len(x_s))
    return torch.stack(values)


@pytest.mark.parametrize('temperature', [1, 4])
def test_equals_its_formula(agrees, temperature):
    agrees(CWDLoss(temperature), lambda s, t: formula(s, t, temperature), torch.randn(SHAPE).double(),
           torch.randn(SHAPE).double())


def test_the_temperature_is_four_by_default():
    student, teacher = torch.randn(SHAPE), torch.randn(SHAPE)
    assert torch.equal(CWDLoss()(student, teacher), CWDLoss(4)(student, teacher))


def test_the_published_reduction():
    """A sum over everything, over the number of images and channels."""
    student, teacher = torch.randn(SHAPE).double(), torch.randn(SHAPE).double()
    rows_s, rows_t = ((side / 4).reshape(15, 8).softmax(1) for side in (student, teacher))
    expected = F.kl_div(rows_s.log(), rows_t, reduction='sum') / 15 * 16
    torch.testing.assert_close(CWDLoss()(student, teacher).mean(), expected)


def test_two_positions_are_two_bernoullis():
    a, b = 1.3, -0.4
    p, q = 1 / (1 + math.exp(-a)), 1 / (1 + math.exp(-b))
    value = CWDLoss(1)(torch.tensor([[[[b, 0.]]]]), torch.tensor([[[[a, 0.]]]]))
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    torch.testing.assert_close(value, torch.tensor([expected]))


def test_gradcheck():
    teacher = torch.randn(SHAPE).double()
    assert torch.autograd.gradcheck(lambda s: CWDLoss()(s, teacher), torch.randn(SHAPE).double().requires_grad_())


def test_decomposes_by_sample(decomposes):
    decomposes(CWDLoss(), torch.randn(SHAPE).double(), torch.randn(SHAPE).double())


def test_keeps_precision(keeps_precision):
    keeps_precision(CWDLoss(1), 10 * torch.randn(2, 3, 64, 64), 10 * torch.randn(2, 3, 64, 64))


def test_what_a_channel_adds_to_all_positions_does_not_matter(gradients):
    teacher = torch.randn(SHAPE).double()
    value, (grad, _) = gradients(CWDLoss(), teacher + torch.randn(3, 1, 1).double(), teacher)
    assert value.abs().max() < 1e-12 and grad.abs().max() < 1e-12
    assert (CWDLoss()(teacher.flip(2), teacher) > 0).all()


def test_the_value_does_not_shrink_with_the_resolution():
    student, teacher = torch.randn(SHAPE).double(), torch.randn(SHAPE).double()
    fine = [side.repeat_interleave(2, 2).repeat_interleave(2, 3) for side in (student, teacher)]
    torch.testing.assert_close(CWDLoss()(*fine), CWDLoss()(student, teacher))


def test_an_absent_class_and_a_sure_one_give_numbers(gradients):
    student, teacher = torch.randn(SHAPE), torch.randn(SHAPE)
    student[:, 0], teacher[:, 0] = -1e4, -1e4  # the same everywhere
    student[:, 1, 0, 0], teacher[:, 1, 3, 1] = 1e4, 1e4
    value, (grad, _) = gradients(CWDLoss(1), student, teacher)
    assert value.isfinite().all() and grad.isfinite().all() and grad[:, 0].abs().max() < 1e-6


def test_refuses_other_resolutions_and_a_temperature_of_zero():
    with pytest.raises(ValueError, match=r'CWDLoss .*PoolToSmaller'):
        CWDLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
    with pytest.raises(ValueError, match='CWDLoss: `temperature`'):
        CWDLoss(0)
