import pytest
import torch

from skd_mm.losses import DKDLoss, KDLoss


def divergence(student, teacher, temperature):
    p_s, p_t = ((z / temperature).exp() / (z / temperature).exp().sum() for z in (student, teacher))
    return temperature**2 * sum(t * torch.log(t / s) for s, t in zip(p_s, p_t, strict=True))


@pytest.mark.parametrize('temperature', [1, 4])
def test_equals_its_formula(agrees, temperature):

    def formula(student, teacher):
        return torch.stack([divergence(z_s, z_t, temperature) for z_s, z_t in zip(student, teacher, strict=True)])

    agrees(KDLoss(temperature), formula, torch.randn(5, 7).double(), torch.randn(5, 7).double())


def test_the_temperature_is_four_by_default():
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    assert torch.equal(KDLoss()(student, teacher), KDLoss(4)(student, teacher))


def labels(height=3, width=2):
    ground_truth = torch.randint(0, 7, (5, height, width))
    ground_truth[1, 0] = 255
    ground_truth[2] = 255
    return ground_truth


def dense_formula(student, teacher, labels):
    values = []
    for z_s, z_t, truth in zip(student, teacher, labels, strict=True):
        pixels = [(y, x) for y in range(3) for x in range(2) if truth[y, x] != 255]
        total = sum((divergence(z_s[:, y, x], z_t[:, y, x], 4) for y, x in pixels), 0 * z_s.sum() + 0 * z_t.sum())
        values.append(total / max(len(pixels), 1))
    return torch.stack(values)


def test_dense_predictions_are_a_mean_over_each_images_valid_pixels(agrees):
    agrees(KDLoss(), dense_formula, torch.randn(5, 7, 3, 2).double(), torch.randn(5, 7, 3, 2).double(), labels=labels())


def test_all_pixels_are_valid_without_labels_and_with_those_of_images():
    student, teacher = torch.randn(5, 7, 3, 2), torch.randn(5, 7, 3, 2)
    expected = KDLoss()(student, teacher, labels=torch.zeros(5, 3, 2).long())
    torch.testing.assert_close(KDLoss()(student, teacher), expected)
    torch.testing.assert_close(KDLoss()(student, teacher, labels=torch.zeros(5).long()), expected)


def test_another_ignored_label():
    student, teacher, ground_truth = torch.randn(5, 7, 3, 2), torch.randn(5, 7, 3, 2), labels()
    other = ground_truth.where(ground_truth != 255, 9)
    torch.testing.assert_close(KDLoss(ignore_index=9)(student, teacher, labels=other),
                               KDLoss()(student, teacher, labels=ground_truth))


def test_labels_of_another_resolution_are_taken_at_the_nearest_pixel():
    student, teacher, fine = torch.randn(5, 7, 3, 2), torch.randn(5, 7, 3, 2), labels(6, 4)
    torch.testing.assert_close(KDLoss()(student, teacher, labels=fine),
                               KDLoss()(student, teacher, labels=fine[:, ::2, ::2]))


def test_what_is_said_of_invalid_pixels_has_no_influence(gradients):
    student, teacher, ground_truth = torch.randn(5, 7, 3, 2), torch.randn(5, 7, 3, 2), labels()
    expected = KDLoss()(student, teacher, labels=ground_truth)
    student[2, 0], student[1, 0, 0] = 1e4, -1e4
    value, (grad, _) = gradients(KDLoss(), student, teacher, labels=ground_truth)
    torch.testing.assert_close(value, expected)
    invalid = (ground_truth == 255)[:, None].expand_as(grad)
    assert not grad[invalid].any() and grad[~invalid].all()


def test_gradcheck():
    teacher = torch.randn(5, 7).double()
    assert torch.autograd.gradcheck(lambda s: KDLoss()(s, teacher), torch.randn(5, 7).double().requires_grad_())


def test_decomposes_by_sample(decomposes):
    decomposes(KDLoss(), torch.randn(5, 7).double(), torch.randn(5, 7).double())
    decomposes(KDLoss(), torch.randn(5, 7, 3, 2).double(), torch.randn(5, 7, 3, 2).double(), labels=labels())


def test_keeps_precision(keeps_precision):
    keeps_precision(KDLoss(), 10 * torch.randn(5, 7), 10 * torch.randn(5, 7))


def test_the_same_prediction_is_the_minimum(gradients):
    teacher = 100 * torch.randn(5, 7).double()
    value, (grad, _) = gradients(KDLoss(), teacher + 3, teacher)  # a constant changes no prediction
    assert value.abs().max() < 1e-12 and grad.abs().max() < 1e-12
    assert (KDLoss()(teacher.flip(1), teacher) > 0).all()


def test_sure_networks_give_numbers():
    student = torch.tensor([[1e4, 0, -1e4]], requires_grad=True)
    value = KDLoss(1)(student, torch.tensor([[-1e4, 0, 1e4]]))
    value.sum().backward()
    assert value == 2e4 and student.grad.isfinite().all()


@pytest.mark.parametrize('loss', [KDLoss, DKDLoss])
def test_refuses_a_temperature_of_zero(loss):
    with pytest.raises(ValueError, match=f'{loss.__name__}: `temperature`'):
        loss(temperature=0)


def test_every_pixel_counts_without_an_ignore_index(agrees):
    every = torch.zeros(5, 3, 2).long()
    agrees(KDLoss(ignore_index=None), lambda s, t, labels: dense_formula(s, t, every),
           torch.randn(5, 7, 3, 2).double(), torch.randn(5, 7, 3, 2).double(), labels=labels())


def test_published_pixel_wise_weights():
    """CIRKD's mean over pixels, IFVD's mean over pixels and classes, SKDS' sum over the batch."""
    student, teacher = torch.randn(4, 7, 3, 2).double(), torch.randn(4, 7, 3, 2).double()
    ours = KDLoss(1, ignore_index=None)(student, teacher).mean()
    rows_s, rows_t = (side.permute(0, 2, 3, 1).reshape(-1, 7).softmax(1) for side in (student, teacher))
    elements = rows_t * (rows_t / rows_s).log()
    torch.testing.assert_close(ours, elements.sum() / len(elements))
    torch.testing.assert_close(10 / 7 * ours, 10 * elements.mean())
    cross_entropy, entropy = -(rows_t * rows_s.log()).sum() / 6, -(rows_t * rows_t.log()).sum() / 6
    torch.testing.assert_close(10 * 4 * ours, 10 * (cross_entropy - entropy))


def standardised(z):
    mean = sum(z) / len(z)
    return (z - mean) / ((sum((value - mean)**2 for value in z) / (len(z) - 1))**0.5 + 1e-7)


def test_standardised_logits(agrees):

    def formula(student, teacher):
        return torch.stack([divergence(standardised(z_s), standardised(z_t), 2)
                            for z_s, z_t in zip(student, teacher, strict=True)])

    agrees(KDLoss(2, standardise=True), formula, torch.randn(5, 7).double(), torch.randn(5, 7).double())


def test_standardised_logits_of_pixels_and_their_scale(gradients):
    loss, student, teacher = KDLoss(2, standardise=True), torch.randn(2, 7, 3, 2), torch.randn(2, 7, 3, 2)
    pixels = [loss(student[..., y, x], teacher[..., y, x]) for y in range(3) for x in range(2)]
    torch.testing.assert_close(loss(student, teacher), torch.stack(pixels).mean(0))
    torch.testing.assert_close(loss(5 * student - 3, teacher), loss(student, teacher), rtol=1e-4, atol=1e-6)
    value, (grad, _) = gradients(loss, torch.full((2, 7), 3.), torch.randn(2, 7))
    assert value.isfinite().all() and grad.isfinite().all()


def decoupled(z_s, z_t, y, temperature=4, alpha=1, beta=8):
    p_s, p_t = ((z / temperature).exp() / (z / temperature).exp().sum() for z in (z_s, z_t))
    first = sum(b_t * torch.log(b_t / b_s) for b_s, b_t in ((p_s[y], p_t[y]), (1 - p_s[y], 1 - p_t[y])))
    second = 0
    for k in range(len(z_s)):
        if k != y:
            q_s, q_t = p_s[k] / (1 - p_s[y]), p_t[k] / (1 - p_t[y])
            second = second + q_t * torch.log(q_t / q_s)
    return temperature**2 * (alpha * first + beta * second)


@pytest.mark.parametrize('arguments', [{}, dict(temperature=1, alpha=.5, beta=2)])
def test_decoupled_equals_its_formula(agrees, arguments):

    def formula(student, teacher, labels):
        return torch.stack([decoupled(z_s, z_t, y, **arguments)
                            for z_s, z_t, y in zip(student, teacher, labels, strict=True)])

    agrees(DKDLoss(**arguments), formula, torch.randn(5, 7).double(), torch.randn(5, 7).double(),
           labels=torch.tensor([0, 6, 3, 3, 1]))


def test_decoupled_for_dense_predictions(agrees, decomposes):
    truth = labels()
    truth[0, 0, 0] = 7  # no class of these

    def formula(student, teacher, labels):
        values = []
        for z_s, z_t, y in zip(student, teacher, labels, strict=True):
            pixels = [decoupled(z_s[:, i, j], z_t[:, i, j], y[i, j]) for i in range(3) for j in range(2) if y[i, j] < 7]
            values.append(sum(pixels, 0 * z_s.sum() + 0 * z_t.sum()) / max(len(pixels), 1))
        return torch.stack(values)

    student, teacher = torch.randn(5, 7, 3, 2).double(), torch.randn(5, 7, 3, 2).double()
    agrees(DKDLoss(), formula, student, teacher, labels=truth)
    decomposes(DKDLoss(), student, teacher, labels=truth)
    fine = truth.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(DKDLoss()(student, teacher, labels=fine), DKDLoss()(student, teacher, labels=truth))
    torch.testing.assert_close(DKDLoss(ignore_index=4)(student, teacher, labels=truth.where(truth != 255, 4)),
                               DKDLoss()(student, teacher, labels=truth.where(truth != 4, 255)))


def test_decoupled_is_kd_with_the_weight_that_kd_has(agrees):
    student, teacher = torch.randn(1, 7).double(), torch.randn(1, 7).double()
    rest = 1 - (teacher / 4).softmax(1)[0, 2].item()
    torch.testing.assert_close(DKDLoss(beta=rest)(student, teacher, labels=torch.tensor([2])),
                               KDLoss()(student, teacher))


def test_decoupled_is_kd_without_a_target():
    student, teacher = torch.randn(5, 7, 3, 2), torch.randn(5, 7, 3, 2)
    torch.testing.assert_close(DKDLoss()(student, teacher), KDLoss()(student, teacher))
    torch.testing.assert_close(DKDLoss()(student, teacher, labels=torch.zeros(5).long()), KDLoss()(student, teacher))
    torch.testing.assert_close(DKDLoss()(student[..., 0, 0], teacher[..., 0, 0]),
                               KDLoss()(student[..., 0, 0], teacher[..., 0, 0]))


def test_decoupled_stays_a_number_where_the_networks_are_sure(gradients):
    student, teacher = torch.tensor([[1e4, 0, -1e4]]), torch.tensor([[-1e4, 0, 1e4]])
    value, grads = gradients(DKDLoss(temperature=1), student, teacher, labels=torch.tensor([0]))
    assert value.isfinite().all() and all(grad.isfinite().all() for grad in grads)


def test_decoupled_keeps_precision(keeps_precision):
    keeps_precision(DKDLoss(), 10 * torch.randn(5, 7), 10 * torch.randn(5, 7), labels=torch.tensor([0, 6, 3, 3, 1]))
