import pytest
import torch

from skd_mm.losses import PKDLoss

SHAPE = (5, 3, 4, 2)


def standardised(values):
    values = values.reshape(-1)
    mean = sum(values) / len(values)
    return (values - mean) / ((sum((value - mean)**2 for value in values) / (len(values) - 1))**0.5 + 1e-6)


def formula(student, teacher):
    total = 0
    for channel in range(student.shape[1]):
        one, other = standardised(student[:, channel]), standardised(teacher[:, channel])
        total = total + sum((a - b)**2 for a, b in zip(one, other, strict=True))
    return total / 2 / student.numel()


def test_equals_its_formula_and_needs_one_image(relates, agrees):
    relates(PKDLoss(), formula, torch.randn(SHAPE).double(), torch.randn(SHAPE).double(), agrees, minimum=1)
    agrees(PKDLoss(), formula, torch.randn(1, 3, 4, 2).double(), torch.randn(1, 3, 4, 2).double())


def test_of_each_image_equals_its_formula_and_decomposes(agrees, decomposes):
    student, teacher = torch.randn(SHAPE).double(), torch.randn(SHAPE).double()
    agrees(PKDLoss(per_image=True),
           lambda s, t: torch.stack([formula(s[b:b + 1], t[b:b + 1]) for b in range(len(s))]), student, teacher)
    decomposes(PKDLoss(per_image=True), student, teacher)


def test_gradcheck():
    teacher = torch.randn(SHAPE).double()
    assert torch.autograd.gradcheck(lambda s: PKDLoss()(s, teacher), torch.randn(SHAPE).double().requires_grad_())


@pytest.mark.parametrize('per_image', [False, True])
def test_keeps_precision(keeps_precision, per_image):
    keeps_precision(PKDLoss(per_image), torch.randn(SHAPE), torch.randn(SHAPE))


def test_is_one_minus_the_correlation_of_each_channel():
    student, teacher = torch.randn(SHAPE).double(), torch.randn(SHAPE).double()
    correlations = [torch.corrcoef(torch.stack([student[:, c].reshape(-1), teacher[:, c].reshape(-1)]))[0, 1]
                    for c in range(3)]
    # The unbiased deviations make it (n - 1) / n of that, n being 40.
    expected = 39 / 40 * (1 - sum(correlations) / 3)
    torch.testing.assert_close(PKDLoss()(student, teacher), expected, rtol=1e-5, atol=0)


def test_scale_and_mean_of_a_channel_do_not_matter():
    teacher = torch.randn(SHAPE).double()
    scale, shift = torch.rand(3, 1, 1).double() + .5, torch.randn(3, 1, 1).double()
    assert PKDLoss()(scale * teacher + shift, teacher) < 1e-10
    torch.testing.assert_close(PKDLoss()(-teacher, teacher), torch.tensor(2 * 39 / 40).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize('per_image', [False, True])
def test_a_dead_channel_and_a_single_position_have_no_gradient(gradients, per_image):
    student, teacher = torch.randn(SHAPE), torch.randn(SHAPE)
    student[:, 1] = 0
    value, (grad, _) = gradients(PKDLoss(per_image), student, teacher)
    assert value.isfinite().all() and grad.isfinite().all() and grad[:, 0].any() and not grad[:, 1].any()
    value, (grad, _) = gradients(PKDLoss(per_image), student[:1, :, :1, :1], teacher[:1, :, :1, :1])
    assert value.sum() == 0 and not grad.any()


def test_refuses_other_resolutions():
    with pytest.raises(ValueError, match=r'PKDLoss .*PoolToSmaller'):
        PKDLoss()(torch.ones(2, 3, 4, 4), torch.ones(2, 3, 2, 2))
