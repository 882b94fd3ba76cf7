import pytest
import torch

from skd_mm.distillers.spot import Spot
from skd_mm.distillers.spot_configs import spot_configs
from skd_mm.routing import gated
from tests.helpers import same_bits

POOL = dict(type='PoolToSmaller')
EMBED = dict(type='Embed', normalize=True)
LOSSES = {
    'MSELoss': dict(connector=dict(type='ConvReg')),
    'ATLoss': {}, 'NSTLoss': {}, 'SPLoss': {}, 'RKDLoss': {}, 'PKTLoss': {},
    'IFVDLoss': {}, 'SKDSPairwiseLoss': {}, 'CIRKDLoss': {},
    'PKDLoss': dict(connector=dict(type='Conv1x1')), 'DISTLoss': dict(connector=dict(type='Conv1x1')),
    'CCLoss': dict(connector=dict(type='Embed'), teacher_connector=dict(type='Embed')),
    'VIDLoss': dict(connector=dict(type='VarianceHead')),
    'FTLoss': dict(connector=dict(type='Translator'), teacher_connector=dict(type='Paraphraser')),
    'CRDLoss': dict(connector=EMBED, teacher_connector=EMBED,
                    memory=dict(type='ContrastMemory', num_samples=30, negatives=5)),
    'QueueKDLoss': dict(connector=[dict(type='Conv1x1'), dict(type='GlobalPool')],
                        teacher_connector=dict(type='GlobalPool'), memory=dict(type='VectorQueue', slots=8)),
}
SELECTED = torch.tensor([True, False, True, True, False, True])


def spot(loss, seed=0):
    torch.manual_seed(seed)
    cfg = spot_configs(dict(student='a', loss=dict(type=loss), **LOSSES[loss]))[0]
    return Spot(**cfg, features=(torch.zeros(1, 4, 3, 3), torch.zeros(1, 6, 3, 3))).train()


def features():
    generator = torch.Generator().manual_seed(1)
    student = torch.randn(6, 4, 3, 3, generator=generator).requires_grad_()
    return student, torch.randn(6, 6, 3, 3, generator=generator)


CONTEXT = dict(index=torch.arange(6) * 3, labels=torch.tensor([0, 1, 2, 0, 1, 2]))


@pytest.mark.parametrize('loss', LOSSES)
def test_a_gated_spot_is_the_loss_on_the_selected_part_of_the_batch(loss):
    student, teacher = features()
    one, other = spot(loss), spot(loss)
    torch.manual_seed(5)
    value = one(student, teacher, CONTEXT, SELECTED).mean()
    gradient, = torch.autograd.grad(value, student)

    torch.manual_seed(5)
    own, theirs = other.connect(student, teacher)
    own = own[SELECTED] if isinstance(own, torch.Tensor) else tuple(
        side[SELECTED] if len(side) == 6 else side for side in own)
    part = other.compare(own, theirs[SELECTED], {name: known[SELECTED] for name, known in CONTEXT.items()}).mean()
    expected = SELECTED.float().mean() * part
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0])
    assert gradient.any()


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('chosen', [0, 1])
def test_with_one_sample_or_none_a_gated_spot_is_finite_and_every_connector_has_a_gradient(loss, chosen):
    student, teacher = features()
    one = spot(loss)
    value = one(student, teacher, CONTEXT, torch.arange(6) < chosen).mean()
    value.backward()
    assert value.isfinite() and student.grad.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in one.parameters())
    if not chosen:
        assert value == 0 and not student.grad.any()


@pytest.mark.parametrize('loss', LOSSES)
def test_with_all_samples_it_is_the_loss_bit_for_bit(loss):
    student, teacher = features()
    one, other = spot(loss), spot(loss)
    torch.manual_seed(5)
    gradient, = torch.autograd.grad(one(student, teacher, CONTEXT, torch.ones(6, dtype=torch.bool)).mean(), student)
    torch.manual_seed(5)
    expected, = torch.autograd.grad(other(student, teacher, CONTEXT).mean(), student)
    assert same_bits(gradient, expected)


def test_what_is_not_selected_may_be_anything():
    def compare(student, teacher, context):
        return (student - teacher).sum(1)
    student = torch.tensor([[1.0], [float('inf')], [float('nan')]])
    assert gated(compare, False, student, torch.zeros(3, 1), None, torch.tensor([True, False, False])).sum() == 1


def test_connectors_see_the_whole_batch():
    seen = []
    one = spot('MSELoss')
    one.connector[0].bn.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    one(*features(), CONTEXT, SELECTED)
    assert seen == [6]


def test_only_what_is_selected_is_remembered():
    one = spot('CRDLoss')
    before = one.memory.student.clone()
    one(*features(), CONTEXT, SELECTED)
    moved = (one.memory.student != before).any(1).nonzero()[:, 0]
    assert moved.tolist() == CONTEXT['index'][SELECTED].tolist()
