import pytest
import torch

from skd_mm.routing import Policy


def test_gates_are_hard_forward_and_soft_backward():
    torch.manual_seed(0)
    policy = Policy(5, 3, tau=2.0)
    student, teacher = torch.randn(4, 2), torch.randn(4, 3)
    torch.manual_seed(1)
    gates = policy(student, teacher)
    assert gates.shape == (4, 3)
    torch.testing.assert_close(gates, gates.round())

    torch.manual_seed(1)
    logits = policy.linear(torch.cat([teacher, student], 1)).view(4, 3, 2)
    noise = -torch.empty_like(logits).exponential_().log()
    soft = torch.softmax((logits + noise) / 2.0, 2)[..., 0]
    assert torch.equal(gates > 0.5, soft > 0.5)
    weights = torch.randn(4, 3)
    found, = torch.autograd.grad((gates * weights).sum(), policy.linear.weight)
    expected, = torch.autograd.grad((soft * weights).sum(), policy.linear.weight)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('bias', [0.0, 1.0, -1.0, 10.0])
def test_the_odds_are_those_of_the_logits_whatever_the_temperature(bias):
    torch.manual_seed(0)
    policy = Policy(2, 1, tau=5.0, teacher_bias=bias)
    with torch.no_grad():
        policy.linear.weight.zero_()
        policy.linear.bias.zero_()[0] = bias
    share = policy(torch.zeros(20000, 1), torch.zeros(20000, 1)).mean()
    assert share.item() == pytest.approx(torch.sigmoid(torch.tensor(bias)).item(), abs=0.012)


def test_the_bias_of_a_same_type_pair_is_at_the_teachers_choices():
    torch.manual_seed(3)
    plain = Policy(4, 3)
    torch.manual_seed(3)
    biased = Policy(4, 3, teacher_bias=10.0)
    torch.testing.assert_close(biased.linear.bias - plain.linear.bias, torch.tensor([10.0, 0, 10, 0, 10, 0]))


def test_neither_network_learns_from_the_policy():
    student, teacher = torch.randn(2, 2, requires_grad=True), torch.randn(2, 2, requires_grad=True)
    Policy(4, 2)(student, teacher).sum().backward()
    assert student.grad is None and teacher.grad is None


def test_half_precision_networks_do_not_make_the_policy_imprecise():
    policy = Policy(4, 2)
    with torch.autocast('cpu', torch.bfloat16):
        gates = policy(torch.randn(3, 2, dtype=torch.bfloat16), torch.randn(3, 2, dtype=torch.bfloat16))
    assert gates.dtype == torch.float32
