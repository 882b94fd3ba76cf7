import math

import pytest
import torch
from torch.nn import functional as F

from skd_mm.losses import QueueKDLoss


def sides(count=5, slots=7, filled=4, dim=3):
    """What a queue gives for both networks, in double precision: vectors, the same queue, and which slots count."""
    vectors = [F.normalize(torch.randn(count, dim).double(), dim=1) for _ in range(2)]
    queue = F.normalize(torch.randn(slots, dim).double(), dim=1).expand(count, -1, -1)
    mask = (torch.arange(slots) < filled).expand(count, -1)
    return tuple((side, queue, mask) for side in vectors)


def formula(student, teacher, queue, filled=4, temperature=.07, teacher_temperature=.07):
    values = []
    for s, t in zip(student, teacher, strict=True):
        exps = [[torch.exp(sum(side * key) / tau) for key in queue[:filled]]
                for side, tau in ((s, temperature), (t, teacher_temperature))]
        p, q = ([value / sum(row) for value in row] for row in exps)
        values.append(sum(b * torch.log(b / a) for a, b in zip(p, q, strict=True)))
    return torch.stack(values)


@pytest.mark.parametrize(('arguments', 'filled'), [
    ({}, 4), ({}, 7), (dict(temperature=.5), 4), (dict(temperature=.2, teacher_temperature=.1), 4)])
def test_equals_its_formula(agrees, arguments, filled):
    (student, queue, mask), (teacher, *_) = sides(filled=filled)
    settings = {**dict(teacher_temperature=arguments.get('temperature', .07)), **arguments}
    agrees(lambda s, t: QueueKDLoss(**arguments)((s, queue, mask), (t, queue, mask)),
           lambda s, t: formula(s, t, queue[0], filled, **settings), student, teacher)


def test_gradcheck():
    (student, queue, mask), (teacher, *_) = sides()
    assert torch.autograd.gradcheck(lambda s: QueueKDLoss(.5)((s, queue, mask), (teacher, queue, mask)),
                                    student.requires_grad_())


def test_decomposes_over_the_images(decomposes):
    decomposes(QueueKDLoss(), *sides())


def test_the_unfilled_slots_do_not_count(gradients):
    (student, queue, mask), (teacher, *_) = sides()
    other = torch.where(mask[..., None], queue, 1e3)
    value, (grad, *_) = gradients(lambda s, t: QueueKDLoss()((s, queue, mask), (t, queue, mask)), student, teacher)
    same, (same_grad, *_) = gradients(lambda s, t: QueueKDLoss()((s, other, mask), (t, other, mask)), student, teacher)
    assert torch.equal(value, same) and torch.equal(grad, same_grad) and value.min() > 0


def test_an_empty_queue_is_zero_with_a_zero_gradient(gradients):
    (student, queue, mask), (teacher, *_) = sides(filled=0)
    value, grads = gradients(lambda s, t: QueueKDLoss()((s, queue, mask), (t, queue, mask)), student, teacher)
    assert value.shape == (5,) and not value.any() and not any(grad.any() for grad in grads)


def test_keeps_precision(keeps_precision):
    keeps_precision(QueueKDLoss(), *(tuple(part.float() for part in side) for side in sides()))


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r'QueueKDLoss .*VectorQueue.* as `memory`'):
        QueueKDLoss()(torch.ones(2, 3), torch.ones(2, 3))
    for name in ('temperature', 'teacher_temperature'):
        for value in (0, -1, math.nan):
            with pytest.raises(ValueError, match=f'QueueKDLoss: `{name}` must be positive, not'):
                QueueKDLoss(**{name: value})
