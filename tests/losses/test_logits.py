import pytest
import torch

from skd_mm.losses import KDLoss


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


def test_refuses_a_temperature_of_zero():
    with pytest.raises(ValueError, match='temperature'):
        KDLoss(0)
