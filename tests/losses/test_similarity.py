import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import CCLoss, PKTLoss, RKDLoss, SPLoss


def maps():
    return torch.randn(5, 3, 2, 2).double(), torch.randn(5, 4, 2, 3).double()


def vectors(student=3, teacher=4):
    return torch.randn(5, student).double(), torch.randn(5, teacher).double()


def sp_formula(student, teacher):

    def rows(f):
        gram = [[(a * b).sum() for b in f] for a in f]
        return [[value / sum(other**2 for other in row)**0.5 for value in row] for row in gram]

    return sum((t - s)**2 for row_s, row_t in zip(rows(student), rows(teacher), strict=True)
               for s, t in zip(row_s, row_t, strict=True)) / len(student)**2


def pkt_formula(student, teacher):

    def rows(f):
        cosine = [[(a @ b / (a @ a).sqrt() / (b @ b).sqrt() + 1) / 2 for b in f] for a in f]
        return [[value / sum(row) for value in row] for row in cosine]

    return sum(t * torch.log((t + 1e-7) / (s + 1e-7)) for row_s, row_t in zip(rows(student), rows(teacher), strict=True)
               for s, t in zip(row_s, row_t, strict=True)) / len(student)**2


def cc_formula(student, teacher):
    total = 0
    for i in range(len(student) - 1):
        for d in range(student.shape[1]):
            total = total + abs(student[i, d] - teacher[i, d]) * abs(student[i + 1, d] - teacher[i + 1, d])
    return total / (len(student) - 1)


def huber(a, b):
    difference = abs(a - b)
    return 0.5 * difference**2 if difference < 1 else difference - 0.5


def rkd_formula(student, teacher, w_distance=25, w_angle=50):
    n = len(student)
    zero = student.new_zeros(())

    def distances(f):
        every = [[(a - b).square().sum().sqrt() if (a != b).any() else zero for b in f] for a in f]
        mean = sum(map(sum, every)) / sum(value > 0 for row in every for value in row)
        return [[value / mean for value in row] for row in every]

    def cosine(f, i, j, k):
        if not ((f[i] != f[j]).any() and (f[i] != f[k]).any()):
            return zero
        a, b = f[j] - f[i], f[k] - f[i]
        return a @ b / (a @ a).sqrt() / (b @ b).sqrt()

    pairs = [(i, j) for i in range(n) for j in range(n)]
    d_s, d_t = distances(student), distances(teacher)
    distance = sum(huber(d_s[i][j], d_t[i][j]) for i, j in pairs) / n**2
    angle = sum(huber(cosine(student, i, j, k), cosine(teacher, i, j, k)) for i, j in pairs for k in range(n)) / n**3
    return w_distance * distance + w_angle * angle


def test_sp(relates, agrees):
    relates(SPLoss(), sp_formula, *maps(), agrees)


def test_pkt(relates, agrees):
    relates(PKTLoss(), pkt_formula, *vectors(), agrees)


def test_cc(relates, agrees):
    relates(CCLoss(), cc_formula, *vectors(4, 4), agrees)


@pytest.mark.parametrize('weights', [(25, 50), (1, 0), (0, 1)])
def test_rkd(relates, agrees, weights):
    # Angles between points of many dimensions and of few differ enough for both branches of the smooth L1 loss.
    student, teacher = torch.randn(5, 2).double(), torch.randn(5, 9).double()
    relates(RKDLoss(*weights), lambda s, t: rkd_formula(s, t, *weights), student, teacher, agrees)


def test_the_weights_of_rkd_are_those_of_the_table():
    student, teacher = vectors()
    assert torch.equal(RKDLoss()(student, teacher), RKDLoss(distance=25, angle=50)(student, teacher))


@pytest.mark.parametrize(('loss', 'features'), [(SPLoss(), maps), (PKTLoss(), vectors), (RKDLoss(), vectors)])
def test_gradcheck(loss, features):
    student, teacher = features()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), student.requires_grad_())


@pytest.mark.parametrize('loss', [SPLoss(), PKTLoss(), CCLoss(), RKDLoss()])
def test_keeps_precision(keeps_precision, loss):
    keeps_precision(loss, torch.randn(5, 40), torch.randn(5, 40))


@pytest.mark.parametrize('loss', [SPLoss(), PKTLoss(), CCLoss(), RKDLoss()])
def test_the_same_features_are_the_minimum(gradients, loss):
    teacher = torch.randn(5, 4).double()
    value, (grad, _) = gradients(loss, teacher, teacher)
    assert abs(value) < 1e-14 and grad.abs().max() < 1e-6  # PKT's eps
    assert loss(teacher.flip(0), teacher) > 1e-3


@pytest.mark.parametrize(('loss', 'change'), [
    (SPLoss(), lambda f: 3 * f), (PKTLoss(), lambda f: f * torch.tensor([1., 2., 3., 4., 5.])[:, None]),
    (RKDLoss(), lambda f: 3 * f + 7)])
def test_relations_do_not_see_what_does_not_belong_to_them(loss, change):
    teacher = torch.randn(5, 4).double()
    rotation = torch.linalg.qr(torch.randn(4, 4).double()).Q
    assert abs(loss(change(teacher @ rotation), teacher)) < 1e-12


@pytest.mark.parametrize('loss', [SPLoss(), PKTLoss(), CCLoss(), RKDLoss()])
@pytest.mark.parametrize('same', ['pair', 'all', 'zero'])
def test_samples_that_coincide_give_numbers(gradients, loss, same):
    student, teacher = torch.randn(4, 6), torch.randn(4, 6)
    if same == 'pair':
        student[2] = student[0]
    else:
        student[:] = student[0] if same == 'all' else 0
    value, (grad, _) = gradients(loss, student, teacher)
    assert value.isfinite() and grad.abs().max() < 100  # and not divided by some eps
    assert value > 0


def test_rkd_at_a_tie_is_its_formula(agrees):
    student, teacher = vectors()
    student[2] = student[0]
    agrees(RKDLoss(), rkd_formula, student, teacher)


def test_rkd_sees_how_far_close_samples_are_apart():
    # Around a point far from the origin float32 keeps differences, but not inner products.
    teacher = torch.randn(5, 4)
    torch.testing.assert_close(RKDLoss()(teacher * 2**-6 + 64, teacher), torch.tensor(0.), atol=1e-5, rtol=0)


def test_opposite_vectors_are_no_negative_probability():
    student = torch.randn(40, 3)
    student = torch.cat([student, -student])
    value = PKTLoss()(student, student.flip(0))
    assert value.isfinite()
    rows = F.normalize(student, dim=1)
    assert (rows @ rows.t()).min() < -1  # the case is there
    assert (PKTLoss()._neighbours(student) >= 0).all()


def test_cc_refuses_features_of_different_sizes():
    with pytest.raises(ValueError, match=r'CCLoss.*\[5, 3\] and \[5, 4\].*Embed'):
        CCLoss()(*vectors())
