import pytest
import torch

from skd_mm.connectors import QueryAttention
from skd_mm.losses import MSELoss
from skd_mm.registry import CONNECTORS, build


def formula(connector, student, teacher):
    """The loss, one position after the other, in double precision."""
    weights = {name: value.double() for name, value in connector.state_dict().items()}
    total = 0
    for own, keys in zip(student, teacher, strict=True):
        places = [(y, x) for y in range(own.shape[1]) for x in range(own.shape[2])]
        queries, values = [], []
        for y, x in places:
            token = own[:, y, x]
            centred = token - token.mean()
            token = centred / (centred.square().mean() + 1e-5).sqrt() * weights['norm.weight'] + weights['norm.bias']
            queries.append(weights['query.weight'] @ token + weights['query.bias'])
            values.append(weights['value.weight'] @ token + weights['value.bias'])
        for place, query in zip(places, queries, strict=True):
            chances = [torch.exp(sum(query * keys[:, y, x])) for y, x in places]
            out = sum(chance / sum(chances) * value for chance, value in zip(chances, values, strict=True))
            total = total + (out - keys[:, place[0], place[1]]).square().sum()
    return total / teacher.numel()


def test_with_mse_it_equals_its_formula():
    connector = QueryAttention(3, 5).double()
    for parameter in connector.norm.parameters():
        torch.nn.init.normal_(parameter)
    teacher = torch.randn(2, 5, 2, 3).double()
    sides = [torch.randn(2, 3, 2, 3).double().requires_grad_()]
    sides.append(sides[0].detach().clone().requires_grad_())
    value = MSELoss()(connector(sides[0], teacher), teacher).mean()
    expected = formula(connector, sides[1], teacher)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-12)
    for one, other in zip(torch.autograd.grad(value, sides[0]), torch.autograd.grad(expected, sides[1]), strict=True):
        assert one.abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_gradcheck_of_all_parameters():
    connector = QueryAttention(3, 4).double()
    student, teacher = torch.randn(2, 3, 2, 2).double().requires_grad_(), torch.randn(2, 4, 2, 2).double()
    names, values = zip(*connector.named_parameters(), strict=True)

    def run(feature, *parameters):
        return torch.func.functional_call(connector, dict(zip(names, parameters, strict=True)), (feature, teacher))

    assert torch.autograd.gradcheck(run, (student, *values))


def test_the_attention_is_computed_in_float32():
    connector = QueryAttention(3, 5)
    student, teacher = torch.randn(2, 3, 4, 4).bfloat16(), 20 * torch.randn(2, 5, 4, 4).bfloat16()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = connector(student, teacher)
    assert found.dtype == torch.float32 and found.shape == (2, 5, 4, 4)
    exact = connector.double()(student.double(), teacher.double())
    torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-4)


def test_the_parameters_are_one_norm_and_two_linear_layers():
    connector = build(CONNECTORS, dict(type='QueryAttention'), in_channels=3, out_channels=5)
    shapes = {name: tuple(value.shape) for name, value in connector.named_parameters()}
    assert shapes == {'norm.weight': (3,), 'norm.bias': (3,), 'query.weight': (5, 3), 'query.bias': (5,),
                      'value.weight': (5, 3), 'value.bias': (5,)}


def test_refuses_another_resolution():
    with pytest.raises(ValueError, match=r"QueryAttention .*\[1, 3, 2, 2\] and \[1, 5, 4, 4\].*'Resize'"):
        QueryAttention(3, 5)(torch.ones(1, 3, 2, 2), torch.ones(1, 5, 4, 4))
