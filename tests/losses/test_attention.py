import pytest
import torch

from skd_mm.losses import ATLoss
from skd_mm.losses.attention import attention_map

STUDENT, TEACHER = (5, 3, 4, 2), (5, 6, 4, 2)


def formula(student, teacher, power=2):
    values = []
    for f_s, f_t in zip(student, teacher, strict=True):
        maps = []
        for f in (f_s, f_t):
            attention = sum(abs(channel)**power for channel in f) / len(f)
            maps.append(attention / sum(value**2 for value in attention.reshape(-1))**0.5)
        values.append(sum((a - b)**2 for a, b in zip(maps[0].reshape(-1), maps[1].reshape(-1), strict=True)) / 8)
    return torch.stack(values)


@pytest.mark.parametrize('power', [2, 3])
def test_equals_its_formula(agrees, power):
    agrees(ATLoss(power), lambda s, t: formula(s, t, power), torch.randn(STUDENT).double(),
           torch.randn(TEACHER).double())


def test_gradcheck():
    teacher = torch.randn(TEACHER).double()
    assert torch.autograd.gradcheck(lambda s: ATLoss()(s, teacher), torch.randn(STUDENT).double().requires_grad_())


def test_it_is_the_default_with_power_two():
    student, teacher = torch.randn(STUDENT), torch.randn(TEACHER)
    assert torch.equal(ATLoss()(student, teacher), ATLoss(2)(student, teacher))


def test_decomposes_by_sample(decomposes):
    decomposes(ATLoss(), torch.randn(STUDENT).double(), torch.randn(TEACHER).double())


def test_keeps_precision(keeps_precision):
    keeps_precision(ATLoss(), torch.randn(STUDENT), torch.randn(TEACHER))


def test_is_zero_where_the_networks_look_at_the_same_places():
    teacher = torch.randn(TEACHER).double()
    # Neither the scale nor which channel it is matters.
    assert ATLoss()(7 * teacher.flip(1), teacher).abs().max() < 1e-30


def test_the_map_has_length_one_and_a_dead_layer_no_gradient():
    feature = torch.randn(2, 3, 4, 4)
    feature[1] = 0
    feature.requires_grad_()
    attention = attention_map(feature)
    torch.testing.assert_close(attention.square().sum(1), torch.tensor([1., 0.]))
    (grad,) = torch.autograd.grad(attention[:, 0].sum(), feature)
    assert grad[0].any() and not grad[1].any() and grad.isfinite().all()


def test_refuses_other_resolutions_and_names_what_helps():
    with pytest.raises(ValueError, match=r'ATLoss .*\[2, 3, 4, 4\] and \[2, 3, 2, 2\].*PoolToSmaller'):
        ATLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
    with pytest.raises(ValueError, match=r'ATLoss compares feature maps.*\[2, 3\]'):
        ATLoss()(torch.ones(2, 3), torch.ones(2, 3))
