import pytest
import torch

import skd_mm.losses
from skd_mm.losses import RelationalLoss, SpotLoss
from skd_mm.losses.base import parts, safe_normalize, shapes, upcast
from skd_mm.registry import LOSSES, build


def test_every_loss_is_named_as_in_the_registry():
    names = [name for name in skd_mm.losses.__all__ if name not in ('Feature', 'RelationalLoss', 'SpotLoss')]
    assert set(names) == {'ATLoss', 'AfDCDLoss', 'BPKDLoss', 'CCLoss', 'CIRKDLoss', 'CIRKDMemoryLoss', 'CRDLoss',
                          'CWDLoss', 'DISTLoss', 'DKDLoss', 'FSPLoss', 'FTLoss', 'IFVDLoss', 'KDLoss', 'MSELoss',
                          'NSTLoss', 'PKDLoss', 'PKTLoss', 'QueueKDLoss', 'RKDLoss', 'SKDSPairwiseLoss', 'SPLoss',
                          'SigmoidKDLoss', 'VIDLoss'}
    for name in names:
        loss = build(LOSSES, dict(type=name))
        assert isinstance(loss, SpotLoss)
        assert not list(loss.parameters()) and not list(loss.buffers())  # a loss has no parameters and no memory


def test_exactly_these_are_relational():
    relational = [name for name in LOSSES.module_dict if LOSSES.get(name).relational]
    assert sorted(relational) == ['CCLoss', 'CIRKDLoss', 'CIRKDMemoryLoss', 'CRDLoss', 'DISTLoss', 'PKDLoss',
                                  'PKTLoss', 'RKDLoss', 'SPLoss']


class Product(SpotLoss):
    def compare(self, student, teacher):
        return (student @ teacher.t()).diagonal()


def test_autocast_and_low_precision_end_at_the_loss():
    feature = torch.randn(3, 100)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        value = Product()(feature, feature)
        assert (feature @ feature.t()).dtype == torch.bfloat16  # autocast continues after it
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, (feature * feature).sum(1))
    assert Product()(feature.half(), feature.half()).dtype == torch.float32
    assert Product()(feature.double(), feature.double()).dtype == torch.float64


def test_tuples_are_features_too():
    pair = (torch.ones(2, 3).bfloat16(), torch.ones(2, 4))
    assert [part.dtype for part in upcast(pair)] == [torch.float32] * 2
    assert parts(pair) is not None and len(parts(pair)) == 2 and parts(pair[0]) == (pair[0],)
    assert shapes(pair) == '[2, 3] and [2, 4]'


@pytest.mark.parametrize('count', [0, 1])
def test_a_relational_loss_of_too_few_samples_is_a_zero_with_a_graph_on_both_sides(count):
    student = torch.full((count, 3), float('nan'), dtype=torch.bfloat16, requires_grad=True)
    teacher = torch.full((count, 3), float('inf'), requires_grad=True)
    value = RelationalLoss()(student, teacher)
    assert value == 0 and value.dtype == torch.float32
    value.backward()
    assert not student.grad.any() and not teacher.grad.any()


def test_a_vector_without_length_has_no_direction_and_no_gradient():
    vectors = torch.tensor([[3., 4.], [0., 0.], [3e-13, 4e-13], [3e-9, 4e-9]], requires_grad=True)
    units = safe_normalize(vectors, dim=1)
    torch.testing.assert_close(units, torch.tensor([[.6, .8], [0, 0], [0, 0], [.6, .8]]))
    (grad,) = torch.autograd.grad(units[:, 0].sum(), vectors)
    assert not grad[1:3].any()
    torch.testing.assert_close(grad[0], torch.tensor([.64, -.48]) / 5)
    assert torch.equal(safe_normalize(vectors.t(), dim=0), units.t())


def test_a_relational_loss_that_takes_no_mask_gets_the_selected_samples():
    class Spread(RelationalLoss):
        needs = ('labels', )

        def compare(self, student, teacher, labels=None):
            return (student - teacher).var() * len(student) + labels.sum()

    student, teacher, labels = torch.randn(4, 3), torch.randn(4, 3), torch.arange(4)
    selected = torch.tensor([True, True, False, False])
    expected = Spread()(student[:2], teacher[:2], labels=labels[:2])
    assert Spread()(student, teacher, selected, labels=labels) == expected != Spread()(student, teacher, labels=labels)
    assert Spread()(student, teacher, torch.arange(4) < 1, labels=None) == 0
