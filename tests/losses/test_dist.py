import pytest
import torch

from skd_mm.losses import DISTLoss

SHAPE = (5, 3, 4, 2)


def correlation(one, other):
    one, other = one - sum(one) / len(one), other - sum(other) / len(other)
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (sum(a**2 for a in one)**0.5 * sum(b**2 for b in other)**0.5 + 1e-8)


def probabilities(logits, temperature):
    rows = [z[:, y, x] for z in logits for y in range(z.shape[1]) for x in range(z.shape[2])]
    return [torch.exp(row / temperature) / sum(torch.exp(row / temperature)) for row in rows]


def formula(student, teacher, beta=1, gamma=1, temperature=1):
    rows_s, rows_t = probabilities(student, temperature), probabilities(teacher, temperature)
    inter = 1 - sum(correlation(*rows) for rows in zip(rows_s, rows_t, strict=True)) / len(rows_s)
    columns = [[torch.stack([row[k] for row in rows]) for k in range(student.shape[1])] for rows in (rows_s, rows_t)]
    intra = 1 - sum(correlation(*pair) for pair in zip(*columns, strict=True)) / student.shape[1]
    return temperature**2 * (beta * inter + gamma * intra)


def test_equals_its_formula_and_needs_one_image(relates, agrees):
    relates(DISTLoss(), formula, torch.randn(SHAPE).double(), torch.randn(SHAPE).double(), agrees, minimum=1)
    agrees(DISTLoss(), formula, torch.randn(1, 3, 4, 2).double(), torch.randn(1, 3, 4, 2).double())


def test_weights_and_temperature(agrees):
    agrees(DISTLoss(beta=.5, gamma=3, temperature=4), lambda s, t: formula(s, t, .5, 3, 4),
           torch.randn(SHAPE).double(), torch.randn(SHAPE).double())


def test_of_each_image_equals_its_formula_and_decomposes(agrees, decomposes):
    student, teacher = torch.randn(SHAPE).double(), torch.randn(SHAPE).double()
    agrees(DISTLoss(per_image=True),
           lambda s, t: torch.stack([formula(s[b:b + 1], t[b:b + 1]) for b in range(len(s))]), student, teacher)
    decomposes(DISTLoss(per_image=True), student, teacher)


def test_logits_of_images(agrees):
    agrees(DISTLoss(), lambda s, t: formula(s[..., None, None], t[..., None, None]), torch.randn(5, 7).double(),
           torch.randn(5, 7).double())


def test_gradcheck():
    teacher = torch.randn(SHAPE).double()
    assert torch.autograd.gradcheck(lambda s: DISTLoss()(s, teacher), torch.randn(SHAPE).double().requires_grad_())


@pytest.mark.parametrize('per_image', [False, True])
def test_keeps_precision(keeps_precision, per_image):
    keeps_precision(DISTLoss(per_image=per_image), 5 * torch.randn(SHAPE), 5 * torch.randn(SHAPE))


def test_an_affine_map_of_the_probabilities_changes_nothing():
    teacher = torch.randn(SHAPE).double()
    probability = teacher.softmax(1)
    student = (0.3 * probability + 0.7 / 3).log()  # these sum to one as well
    assert DISTLoss()(student, teacher).abs() < 1e-5
    assert DISTLoss(per_image=True)(student, teacher).abs().max() < 1e-5
    assert DISTLoss()(teacher.flip(1), teacher) > 0.1


def test_the_order_of_pixels_does_not_matter():
    student, teacher = torch.randn(SHAPE).double(), torch.randn(SHAPE).double()
    order = torch.randperm(5 * 8)
    mixed = [side.permute(1, 0, 2, 3).reshape(3, -1)[:, order].reshape(3, 5, 4, 2).permute(1, 0, 2, 3)
             for side in (student, teacher)]
    torch.testing.assert_close(DISTLoss()(*mixed), DISTLoss()(student, teacher))


@pytest.mark.parametrize('scale', [30, 1e4])
def test_a_class_that_nobody_predicts_gives_numbers_and_no_large_gradient(gradients, scale):
    student, teacher = torch.randn(SHAPE), torch.randn(SHAPE)
    student[:, 0], teacher[:, 0] = -scale + student[:, 0], -scale + teacher[:, 0]
    value, (grad, _) = gradients(DISTLoss(), student, teacher)
    assert value.isfinite() and 0 <= value <= 4
    assert grad.isfinite().all() and grad.abs().max() < 1


def test_refuses_pixels_that_are_not_there_and_a_temperature_of_zero():
    with pytest.raises(ValueError, match=r'DISTLoss: `per_image`.*\[2, 3\]'):
        DISTLoss(per_image=True)(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match='DISTLoss: `temperature`'):
        DISTLoss(temperature=0)
