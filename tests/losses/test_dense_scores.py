import pytest
import torch

from skd_mm.losses import SigmoidKDLoss

SHAPES = (5, 6, 4, 3), (5, 6, 2, 1)


def levels():
    return tuple(torch.randn(shape).double() for shape in SHAPES)


def formula(student, teacher, beta=1):
    values = []
    for b in range(5):
        total, positives = 0, 0
        for own, reference in zip(student, teacher, strict=True):
            p_s, p_t = 1 / (1 + (-own[b]).exp()), 1 / (1 + (-reference[b]).exp())
            entropy = -p_t * p_s.log() - (1 - p_t) * (1 - p_s).log()
            total = total + ((p_s - p_t).abs()**beta * entropy).sum()
            positives = positives + p_t.max(0).values.sum()
        values.append(total / positives.clamp(min=1))
    return torch.stack(values)


@pytest.mark.parametrize('beta', [1, 2])
def test_equals_its_formula(agrees, beta):
    agrees(SigmoidKDLoss(beta), lambda s, t: formula(s, t, beta), levels(), levels())


def test_one_level_is_a_tuple_of_one():
    student, teacher = levels()[0], levels()[0]
    torch.testing.assert_close(SigmoidKDLoss()(student, teacher), formula((student, ), (teacher, )))


def test_a_teacher_that_finds_nothing_divides_by_one():
    student, teacher = levels()[0], torch.full(SHAPES[0], -9.).double()
    assert teacher.sigmoid().amax(1).sum() < 1
    expected = SigmoidKDLoss()(student, teacher)
    torch.testing.assert_close(expected, formula((student, ), (teacher, )))
    assert torch.isfinite(SigmoidKDLoss()(student, teacher - 1000)).all()


def test_equal_scores_are_no_loss():
    scores = levels()
    assert not SigmoidKDLoss()(scores, scores).any() and SigmoidKDLoss(0)(scores, scores).all()


def test_decomposes(decomposes):
    decomposes(SigmoidKDLoss(), levels(), levels())


def test_keeps_precision(keeps_precision):
    keeps_precision(SigmoidKDLoss(), *(tuple(part.float() for part in levels()) for _ in range(2)))


def test_what_cannot_be_compared_is_refused():
    student = levels()
    for teacher in (student[:1], (student[0][:, :3], student[1])):
        with pytest.raises(ValueError, match='the same levels, anchors, classes'):
            SigmoidKDLoss()(student, teacher)
    with pytest.raises(ValueError, match='`beta` must be 0 or more, not -1'):
        SigmoidKDLoss(-1)
