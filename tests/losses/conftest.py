"""What the tests of all losses do: hold a loss against its formula, sample by sample, in bad precision, at its minimum.

Features are float64 here, so that a difference is a difference in the formula.
"""

import pytest
import torch

PRECISE = dict(rtol=1e-9, atol=1e-12)


def _leaves(feature):
    parts = (feature,) if isinstance(feature, torch.Tensor) else feature
    parts = tuple(part.detach().clone().requires_grad_() for part in parts)
    return parts[0] if isinstance(feature, torch.Tensor) else parts


def _run(loss, student, teacher, **context):
    student, teacher = _leaves(student), _leaves(teacher)
    value = loss(student, teacher, **context)
    leaves = [part for side in (student, teacher) for part in ((side,) if isinstance(side, torch.Tensor) else side)]
    # Unequal weights, so that gradients of different samples differ.
    weights = torch.arange(1., 1 + value.numel(), dtype=value.dtype).reshape(value.shape)
    return value, torch.autograd.grad((value * weights).sum(), leaves, allow_unused=True)


def choose(feature, chosen):
    return feature[chosen] if isinstance(feature, torch.Tensor) else tuple(part[chosen] for part in feature)


@pytest.fixture
def gradients():
    """Gives the value and the gradients with respect to every tensor on both sides."""
    return _run


@pytest.fixture
def agrees():
    """Holds value and gradients of a loss, with respect to both sides, against those of a formula."""

    def check(loss, formula, student, teacher, **context):
        value, grads = _run(loss, student, teacher, **context)
        expected, expected_grads = _run(formula, student, teacher, **context)
        torch.testing.assert_close(value, expected, **PRECISE)
        for grad, expected_grad in zip(grads, expected_grads, strict=True):
            assert grad.abs().max() > 0
            torch.testing.assert_close(grad, expected_grad, **PRECISE)

    return check


@pytest.fixture
def decomposes():
    """Holds the sum over chosen samples of a loss ``[B]`` against the loss of these samples alone; also of none."""

    def check(loss, student, teacher, **context):
        whole = loss(student, teacher, **context)
        assert not loss.relational and whole.shape == (5,)
        for chosen in ([0, 3], [4], []):
            gate = torch.zeros(5, dtype=whole.dtype)
            gate[chosen] = 1
            part = loss(choose(student, chosen), choose(teacher, chosen),
                        **{name: value[chosen] for name, value in context.items()})
            assert part.shape == (len(chosen),)
            mean = part.mean() * len(chosen) / 5 if chosen else part.sum()
            torch.testing.assert_close((gate * whole).sum() / 5, mean, **PRECISE)

    return check


def _check_mask(loss, student, teacher, chosen):
    """With a mask the loss, and its gradients, are those of the selected samples, whatever the others are."""
    order = torch.argsort(chosen.int(), descending=True, stable=True)
    student, teacher, selected = student[order], teacher[order], chosen[order]
    for other in (1, float('inf'), float('nan')):
        whole = [torch.where(selected.view(-1, *[1] * (side.dim() - 1)), side, side * other)
                 for side in (student, teacher)]
        value, grads = _run(loss, *whole, selected=selected)
        expected, expected_grads = _run(loss, student[selected], teacher[selected])
        torch.testing.assert_close(value, expected, **PRECISE)
        for grad, expected_grad in zip(grads, expected_grads, strict=True):
            torch.testing.assert_close(grad[selected], expected_grad, **PRECISE)
            assert not grad[~selected].any()


@pytest.fixture
def relates():
    """Holds a relational loss to what one must be, on two batches of five samples."""

    def check(loss, formula, student, teacher, agrees, minimum=2):
        assert loss.relational and loss(student, teacher).dim() == 0
        agrees(loss, formula, student, teacher)
        # On chosen samples it is the loss of that batch, which no weighting of the whole batch's gives.
        chosen = torch.tensor([True, False, True, True, False])
        agrees(loss, formula, choose(student, chosen), choose(teacher, chosen))
        _check_mask(loss, student, teacher, chosen)
        # With too few it is zero, with a gradient that is zero, whatever the features are.
        for count in range(minimum):
            value, grads = _run(loss, student[:count] * float('inf'), teacher[:count])
            assert value == 0 and all(grad is not None and not grad.any() for grad in grads)
            value, grads = _run(loss, student * float('nan'), teacher, selected=torch.arange(5) < count)
            assert value == 0 and not any(grad.any() for grad in grads)

    return check


@pytest.fixture
def keeps_precision():
    """Holds a loss in bfloat16, inside of autocast, against the same features in float64."""

    def check(loss, student, teacher, **context):
        low = [tuple(part.bfloat16() for part in side) if isinstance(side, tuple) else side.bfloat16()
               for side in (student, teacher)]
        high = [tuple(part.double() for part in side) if isinstance(side, tuple) else side.double() for side in low]
        with torch.autocast('cpu', dtype=torch.bfloat16):
            value = loss(*low, **context)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), loss(*high, **context), rtol=1e-4, atol=1e-6)

    return check
