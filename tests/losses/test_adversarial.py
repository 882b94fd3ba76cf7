import pytest
import torch
from torch import nn

from skd_mm.losses.adversarial import generator_loss, gradient_penalty, hinge_loss, wasserstein_loss

PRECISE = dict(rtol=1e-9, atol=1e-12)


def scores():
    return 2 * torch.randn(5, 1, 2, 3).double(), 2 * torch.randn(5, 1, 2, 3).double()


def test_the_student_raises_its_score():
    student, _ = scores()
    expected = torch.stack([-sum(image.reshape(-1)) / 6 for image in student])
    torch.testing.assert_close(generator_loss(student), expected, **PRECISE)


def test_hinge_and_wasserstein_equal_their_formulas():
    student, teacher = scores()
    hinge, wasserstein = [], []
    for one, other in zip(student, teacher, strict=True):
        mine, theirs = one.reshape(-1).tolist(), other.reshape(-1).tolist()
        hinge.append(sum(max(0, 1 - t) for t in theirs) / 6 + sum(max(0, 1 + s) for s in mine) / 6)
        wasserstein.append(sum(mine) / 6 - sum(theirs) / 6)
    for loss, expected in ((hinge_loss, hinge), (wasserstein_loss, wasserstein)):
        torch.testing.assert_close(loss(student, teacher), torch.tensor(expected, dtype=torch.float64), **PRECISE)


def test_the_penalty_of_a_linear_critic_is_known():
    weight = torch.randn(3, 2, 2).double()
    value = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), torch.randn(5, 3, 2, 2).double(),
                             torch.randn(5, 3, 2, 2).double())
    torch.testing.assert_close(value, ((weight.square().sum().sqrt() - 1)**2).expand(5), **PRECISE)


def test_the_penalty_is_taken_between_the_two_and_trains_the_critic_alone(monkeypatch):
    critic = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Tanh(), nn.Conv2d(4, 1, 1)).double()
    student = torch.randn(2, 3, 2, 2).double().requires_grad_()
    teacher = torch.randn(2, 3, 2, 2).double()
    mix = torch.tensor([.25, .75]).double().view(2, 1, 1, 1)
    monkeypatch.setattr(torch, 'rand', lambda *shape, **kwargs: mix)
    with torch.no_grad():
        assert not gradient_penalty(critic, student, teacher).isnan().any()
    value = gradient_penalty(critic, student, teacher)
    for b, share in enumerate((.25, .75)):
        point = (share * teacher[b:b + 1] + (1 - share) * student[b:b + 1]).detach().requires_grad_()
        total = sum(score for score in critic(point).reshape(-1))
        (gradient,) = torch.autograd.grad(total, point)
        torch.testing.assert_close(value[b], (sum(g**2 for g in gradient.reshape(-1))**.5 - 1)**2, **PRECISE)
    value.sum().backward()
    assert student.grad is None and critic[0].weight.grad.any()
    eps, weight = 1e-6, critic[0].weight
    expected = weight.grad[1, 2].item()
    with torch.no_grad():
        weight[1, 2] += eps
    numeric = (gradient_penalty(critic, student, teacher).sum() - value.sum()).item() / eps
    assert numeric == pytest.approx(expected, rel=1e-4)


def test_a_flat_critic_gives_numbers():
    weight = torch.zeros(3, 1, 1, requires_grad=True)
    value = gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), torch.randn(2, 3, 2, 2), torch.randn(2, 3, 2, 2))
    value.sum().backward()
    assert value.tolist() == [1, 1] and weight.grad.isfinite().all()
