import pytest
import torch

from skd_mm.losses import NSTLoss

STUDENT, TEACHER = (5, 3, 4, 2), (5, 6, 4, 2)


def formula(student, teacher):

    def mean_kernel(one, other):
        return sum(a.reshape(-1).dot(b.reshape(-1))**2 for a in one for b in other) / (len(one) * len(other))

    values = []
    for f_s, f_t in zip(student, teacher, strict=True):
        f_s, f_t = ([channel / channel.square().sum().sqrt() for channel in f] for f in (f_s, f_t))
        values.append(mean_kernel(f_t, f_t) + mean_kernel(f_s, f_s) - 2 * mean_kernel(f_s, f_t))
    return torch.stack(values)


def test_equals_its_formula(agrees):
    agrees(NSTLoss(), formula, torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


def test_gradcheck():
    teacher = torch.randn(TEACHER).double()
    assert torch.autograd.gradcheck(lambda s: NSTLoss()(s, teacher), torch.randn(STUDENT).double().requires_grad_())


def test_decomposes_by_sample(decomposes):
    decomposes(NSTLoss(), torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


def test_keeps_precision(keeps_precision):
    keeps_precision(NSTLoss(), torch.randn(STUDENT), torch.randn(TEACHER))


def test_is_zero_for_the_same_set_of_channels_and_nowhere_less():
    teacher = torch.randn(TEACHER).double()
    assert NSTLoss()(3 * teacher.flip(1), teacher).abs().max() < 1e-15
    assert NSTLoss()(torch.randn(TEACHER).double(), teacher).min() > 1e-3


def test_a_dead_channel_has_no_gradient():
    student = torch.randn(1, 3, 4, 2)
    student[0, 1] = 0
    student.requires_grad_()
    NSTLoss()(student, torch.randn(1, 6, 4, 2)).sum().backward()
    assert not student.grad[0, 1].any() and student.grad[0, 0].any()


def test_refuses_other_resolutions():
    with pytest.raises(ValueError, match=r'NSTLoss .*PoolToSmaller'):
        NSTLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
