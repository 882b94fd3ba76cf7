import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import IFVDLoss

STUDENT, TEACHER = (5, 3, 4, 2), (5, 4, 4, 2)


def labels():
    """With a class of one position, absent classes, an image without a label and a label that is no class."""
    truth = torch.randint(0, 3, (5, 4, 2))
    truth[0, 0] = 255
    truth[1] = 255
    truth[2, 0, 0], truth[2, 1, 1] = 5, 6
    return truth


def cosine(one, other):
    lengths = [sum(value**2 for value in vector)**0.5 for vector in (one, other)]
    return sum(a * b for a, b in zip(one, other, strict=True)) / (lengths[0] * lengths[1])


def similarities(feature, truth, num_classes):
    positions = [(y, x) for y in range(feature.shape[1]) for x in range(feature.shape[2])]
    result = {}
    for y, x in positions:
        own = feature[:, y, x]
        members = [feature[:, i, j] for i, j in positions if truth[i, j] == truth[y, x]]
        known = truth[y, x] != 255 and truth[y, x] < num_classes
        result[y, x] = cosine(own, sum(members) / (len(members) + 1e-6)) if known else cosine(own, own)
    return result


def formula(student, teacher, labels, num_classes=6):
    values = []
    for f_s, f_t, truth in zip(student, teacher, labels, strict=True):
        one, other = similarities(f_s, truth, num_classes), similarities(f_t, truth, num_classes)
        values.append(sum((one[at] - other[at])**2 for at in one) / len(one))
    return torch.stack(values)


def test_equals_its_formula(agrees):
    agrees(IFVDLoss(6), formula, torch.randn(STUDENT).double(), torch.randn(TEACHER).double(), labels=labels())


def test_the_number_of_classes_may_be_larger():
    student, teacher, truth = torch.randn(STUDENT), torch.randn(TEACHER), labels()
    truth[truth == 6] = 255
    torch.testing.assert_close(IFVDLoss()(student, teacher, labels=truth), IFVDLoss(6)(student, teacher, labels=truth))


def test_another_ignored_label():
    student, teacher, truth = torch.randn(STUDENT), torch.randn(TEACHER), labels()
    expected = IFVDLoss()(student, teacher, labels=truth)
    for index in (9, -1):
        other = IFVDLoss(ignore_index=index)(student, teacher, labels=truth.where(truth != 255, index))
        torch.testing.assert_close(other, expected)


def test_without_labels_the_image_is_one_class():
    student, teacher = torch.randn(STUDENT), torch.randn(TEACHER)
    one = IFVDLoss()(student, teacher, labels=torch.full((5, 4, 2), 7))
    assert (one > 0).all()
    torch.testing.assert_close(IFVDLoss()(student, teacher), one)
    torch.testing.assert_close(IFVDLoss()(student, teacher, labels=torch.zeros(5).long()), one)


def test_labels_of_another_resolution_are_taken_at_the_nearest_pixel():
    student, teacher, truth = torch.randn(STUDENT), torch.randn(TEACHER), labels()
    fine = torch.randint(0, 3, (5, 8, 4))
    fine[:, ::2, ::2] = truth
    torch.testing.assert_close(IFVDLoss(6)(student, teacher, labels=fine), IFVDLoss(6)(student, teacher, labels=truth))


def test_another_resolution_of_the_teacher():
    student, teacher = torch.randn(2, 3, 4, 2).double(), torch.randn(2, 4, 8, 4).double()
    truth = torch.randint(0, 3, (2, 8, 4))
    truth[0, 1:3, :2] = 255
    truth[1, 3:5, 1:] = 7
    value = IFVDLoss(3)(student, teacher, labels=truth)
    for b in range(2):
        coarse = similarities(student[b], truth[b, ::2, ::2], 3)
        fine = similarities(teacher[b], truth[b], 3)
        total = 0
        for (y, x), mine in coarse.items():
            block = sum(fine[2 * y + i, 2 * x + j] for i in (0, 1) for j in (0, 1)) / 4
            if truth[b, 2 * y, 2 * x] < 3:
                total += (mine - block)**2
        torch.testing.assert_close(value[b], total / 8)


def test_gradcheck():
    teacher, truth = torch.randn(TEACHER).double(), labels()
    assert torch.autograd.gradcheck(lambda s: IFVDLoss()(s, teacher, labels=truth),
                                    torch.randn(STUDENT).double().requires_grad_())


def test_decomposes_by_sample(decomposes):
    decomposes(IFVDLoss(), torch.randn(STUDENT).double(), torch.randn(TEACHER).double(), labels=labels())


def test_keeps_precision(keeps_precision):
    keeps_precision(IFVDLoss(), torch.randn(STUDENT), torch.randn(TEACHER), labels=labels())


def test_a_rotation_of_the_channels_and_the_scale_do_not_matter(gradients):
    student, truth = torch.randn(STUDENT).double(), labels()
    basis = torch.linalg.qr(torch.randn(4, 4).double()).Q[:, :3]
    rotated = torch.einsum('dc,bcyx->bdyx', basis, 3 * student)
    value, (grad, _) = gradients(IFVDLoss(), student, rotated, labels=truth)
    assert value.abs().max() < 1e-12 and grad.abs().max() < 1e-12


def test_what_has_no_label_or_no_second_position_adds_nothing(gradients):
    student, teacher, truth = torch.randn(STUDENT), torch.randn(TEACHER), labels()
    value, (grad, _) = gradients(IFVDLoss(6), student, teacher, labels=truth)
    assert value[1] == 0 and not grad[1].any() and not grad[0, :, 0].any() and not grad[2, :, 1, 1].any()
    alone = truth.clone()
    alone[3:] = torch.arange(8).reshape(4, 2)
    assert IFVDLoss()(student, teacher, labels=alone)[3:].abs().max() < 1e-10


def test_a_dead_position_gives_numbers(gradients):
    student, teacher, truth = F.relu(torch.randn(STUDENT)), F.relu(torch.randn(TEACHER)), labels()
    student[:, :, 0, 0], student[4] = 0, 0
    value, (grad, _) = gradients(IFVDLoss(), student, teacher, labels=truth)
    assert value.isfinite().all() and grad.isfinite().all() and grad.abs().max() < 10


def test_refuses_what_are_no_maps_and_no_classes():
    with pytest.raises(ValueError, match=r'IFVDLoss compares feature maps.*\[2, 3\]'):
        IFVDLoss()(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(ValueError, match='IFVDLoss: `num_classes`'):
        IFVDLoss(0)
