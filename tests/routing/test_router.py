import pytest
import torch

from skd_mm.routing import Router

FEATURES = dict(student=[torch.zeros(1, 4, 8, 8), torch.zeros(1, 6, 4, 4), torch.zeros(1, 3)],
                teacher=[torch.zeros(1, 5, 8, 8), torch.zeros(1, 7, 8, 8), torch.zeros(1, 3)])
NAMES = ['one', 'two', 'logits']


def router(**changes):
    torch.manual_seed(0)
    return Router(**{**dict(spots=NAMES, policy_channels=5, **FEATURES), **changes})


@pytest.mark.parametrize('gate,share', [('always', [1, 1, 1]), ('never', [0, 0, 0])])
def test_fixed_gates(gate, share):
    one = router(gate=gate)
    gates = one.draw(torch.zeros(50, 2), torch.zeros(50, 3))
    assert gates.mean(0).tolist() == share and not list(one.parameters())
    assert [chosen.float().mean().item() for chosen in one.distilled(gates).values()] == share


def test_random_gates_have_the_given_probabilities():
    one = router(gate='random', keep=dict(one=0.2, two=1.0))
    gates = one.draw(torch.zeros(20000, 2), torch.zeros(20000, 3))
    assert gates.unique().tolist() == [0, 1] and not list(one.parameters())
    assert gates.mean(0).tolist() == pytest.approx([0.2, 1.0, 0.5], abs=0.015)


def test_anti_distils_what_the_policy_does_not_choose():
    gates = torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    assert {name: chosen.tolist() for name, chosen in router().distilled(gates).items()} == dict(
        one=[True, False], two=[False, False], logits=[True, True])
    assert {name: chosen.tolist() for name, chosen in router(gate='anti').distilled(gates).items()} == dict(
        one=[False, True], two=[True, True], logits=[False, False])


def test_the_adapters_lead_to_the_other_networks_shape():
    one = router().eval()
    for k, (own, theirs) in enumerate(zip(FEATURES['student'][:2], FEATURES['teacher'][:2], strict=True)):
        for adapters, source, goal in ((one.to_teacher, own, theirs), (one.to_student, theirs, own)):
            feature = torch.randn(3, *source.shape[1:])
            for part in adapters[k]:
                feature = part(feature, goal)
            assert feature.shape == (3, *goal.shape[1:])
    # a stride-2 convolution down, a transposed one up: no interpolation
    assert one.to_student[1][0].conv.stride == (2, 2)
    assert isinstance(one.to_teacher[1][0].conv, torch.nn.ConvTranspose2d)


def test_dense_adapters_are_interpolated_1x1_convolutions_and_logits_are_resized():
    maps = dict(student=[torch.zeros(1, 4, 8, 8), torch.zeros(1, 3, 8, 8)],
                teacher=[torch.zeros(1, 5, 4, 4), torch.zeros(1, 3, 4, 4)])
    one = router(spots=['one', 'logits'], **maps)
    assert one.to_student[0][0].conv.kernel_size == (1, 1)
    mixed = one.mix(torch.ones(2, 2), lambda given: torch.zeros(2, *maps['student'][len(given)].shape[1:]),
                    lambda given: torch.full((2, *maps['teacher'][len(given)].shape[1:]), 7.0))
    assert mixed[-1].shape == (2, 3, 8, 8) and (mixed[-1] == 7).all()


@pytest.mark.parametrize('shape', [(9, 6), (6,)])
def test_tokens_and_vectors_get_linear_adapters(shape):
    sides = dict(student=[torch.zeros(1, *shape), torch.zeros(1, 3)],
                 teacher=[torch.zeros(1, *shape[:-1], 8), torch.zeros(1, 3)])
    one = router(spots=['one', 'logits'], **sides)
    assert one.to_student[0][0].linear.weight.shape == (6, 8)
    mixed = one.mix(torch.tensor([[1.0, 0]]), lambda given: sides['student'][len(given)],
                    lambda given: sides['teacher'][len(given)])
    assert mixed[0].shape == (1, *shape)


def test_a_sample_takes_the_way_that_its_gates_open():
    one = router().eval()
    gates = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]])
    own = [torch.randn(3, *feature.shape[1:]) for feature in FEATURES['student']]
    theirs = [torch.randn(3, *feature.shape[1:]) for feature in FEATURES['teacher']]
    seen = {}

    def run(outputs, side):
        def stage(given):
            seen[side, len(given)] = list(given)
            return outputs[len(given)]
        return stage

    mixed = one.mix(gates, run(own, 'student'), run(theirs, 'teacher'))
    assert torch.equal(mixed[2][0], own[2][0]) and torch.equal(mixed[2][1], theirs[2][1])
    assert torch.equal(mixed[0][0], own[0][0])
    to_student = one.to_student[0][1](one.to_student[0][0](theirs[0], own[0]), own[0])
    torch.testing.assert_close(mixed[0][1:], to_student[1:])
    into_teacher = seen['teacher', 2][0]
    assert torch.equal(into_teacher[1:], theirs[0][1:])
    torch.testing.assert_close(into_teacher[:1], one.to_teacher[0][0](own[0], theirs[0])[:1])


@pytest.mark.parametrize('mixed,own,factor', [(2.0, 1.0, 3.0), (1.0, 2.0, 1 / 3), (1.0, 1.0, 1.0)])
def test_gamma(mixed, own, factor):
    loss = torch.tensor(mixed, requires_grad=True)
    losses = router(gamma=3.0).losses(loss, torch.tensor(own), torch.ones(4, 3))
    assert losses['router.loss'].item() == pytest.approx(mixed * factor)
    losses['router.loss'].backward()
    assert loss.grad.item() == pytest.approx(factor)
    assert losses['router.ratio'] == mixed / own


@pytest.mark.parametrize('kept,total,mean', [(0, 5.0, 32.0), (2, 3.0, 19.2), (5, 0.0, 0.0), (9, 0.0, 0.0)])
def test_the_hinge_keeps_half_of_the_batch_at_the_logits(kept, total, mean):
    gates = torch.ones(10, 3)
    gates[kept:, 2] = 0
    one = torch.tensor(1.0)
    assert router().losses(one, one, gates)['router.keep_loss'].item() == pytest.approx(total)
    assert router(keep_reduction='mean').losses(one, one, gates)['router.keep_loss'].item() == pytest.approx(mean)
    gates.requires_grad_()
    router().losses(one, one, gates)['router.keep_loss'].backward()
    assert gates.grad[:, 2].tolist() == [-1.0 if total else 0.0] * 10 and not gates.grad[:, :2].any()


def test_at_a_batch_of_64_both_reductions_are_the_same():
    gates, one = torch.zeros(64, 3), torch.tensor(1.0)
    gates[:7, 2] = 1
    for kind in ('sum', 'mean'):
        assert router(keep_reduction=kind).losses(one, one, gates)['router.keep_loss'] == 25


@pytest.mark.parametrize('changes,message', [
    (dict(gate='polcy'), r"router.gate .*not 'polcy'; did you mean 'policy'"),
    (dict(keep_reduction='total'), r"router.keep_reduction .*'sum', 'mean'"),
    (dict(keep=dict(ones=0.5)), r"router.keep: there is no spot 'ones'; did you mean 'one'"),
    (dict(keep=1.5), r'router.keep: a probability'),
    (dict(gamma=0), r'router.gamma must be greater'),
    (dict(student=[*FEATURES['student'][:2], torch.zeros(1, 4)]), r"logits at 'logits' have 4 classes .* 3"),
    (dict(student=[torch.zeros(1, 4), *FEATURES['student'][1:]]), r"no adapter leads .*at the spot 'one'"),
])
def test_bad_values_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        router(**changes)
