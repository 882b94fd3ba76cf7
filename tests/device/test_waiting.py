"""What is done instead of waiting: copies that are read later, and checks that raise one step later."""

import copy
import weakref

import pytest
import torch
from torch.nn import functional as F

from skd_mm.distillers.loss_check import LossCheck
from skd_mm.losses import SPLoss
from skd_mm.memories import ContrastMemory
from skd_mm.routing import gated
from skd_mm.utils import DeferredChecks, HostCopy, to_device
from tests.device.backend import DEVICE, NAME
from tests.device.kinds import BANK
from tests.helpers import MODELS


def kinds(device):
    return [record.kind for record in device.records]


def test_a_copy_is_read_when_it_has_arrived(device):
    found = HostCopy(torch.arange(3, device=NAME))
    later = HostCopy(torch.ones(2, device=NAME))
    assert not found.immediate and not device.records
    assert copy.deepcopy(found).read().tolist() == found.read().tolist() == [0, 1, 2]
    assert later.read().device.type == 'cpu' and kinds(device) == ['event', 'event']


def test_a_check_raises_one_step_later(device):
    checks, value = DeferredChecks(), torch.full((), 7, device=NAME)
    checks.require(value < 3, value, 'a label {} is too large')
    with pytest.raises(ValueError, match='a label 7 is too large'):
        checks.check()
    checks.check()
    assert 'wait' not in kinds(device)


def test_numbers_are_copied_without_waiting(device):
    assert to_device([1, 2], DEVICE).device == DEVICE and not device.records


@pytest.mark.parametrize(('index', 'labels', 'message'), [
    ([3, 10], [0, 1], 'num_samples=10, but .* number 10'), ([3, 4], [-1, 0], 'counted from 0, there is a label -1'),
    ([3, 4], [0, 0], 'of one class')])
def test_a_memory_reports_wrong_values_one_step_later(device, index, labels, message):
    memory = ContrastMemory(10, dim=4, negatives=6).to(NAME)
    index, labels = to_device(index, DEVICE), to_device(labels, DEVICE)
    sides = [F.normalize(torch.randn(2, 4, device=NAME), dim=1) for _ in range(2)]
    if message == 'of one class':  # which it may be in the first epoch
        memory(*sides, index, labels)
    device.records.clear()
    memory(*sides, index, labels)
    assert 'wait' not in kinds(device)
    with pytest.raises(ValueError, match=message):
        memory(*sides, index, labels)


def test_a_bank_reports_a_label_one_batch_later(device):
    bank = MODELS.build(BANK).to(NAME).bank
    device.records.clear()
    assert bank(torch.tensor([0, 3]).pin_memory().to(NAME, non_blocking=True)).shape == (2, 3)
    assert not device.records
    with pytest.raises(ValueError, match='there is a label 3, but the teacher has the classes 0 to 2'):
        bank(torch.zeros(2, dtype=torch.long, device=NAME))


def test_a_gate_does_not_tell_the_host_how_many_samples_it_lets_through(device):
    student, teacher = torch.randn(4, 3), torch.randn(4, 5)
    gate = torch.tensor([True, False, True, True])
    expected = gated(lambda one, other, context, selected: SPLoss()(one, other, selected), True, student, teacher, None,
                     gate)
    arguments = [part.to(NAME) for part in (student, teacher, gate)]
    device.records.clear()
    found = gated(lambda one, other, context, selected: SPLoss()(one, other, selected), True, *arguments[:2], None,
                  arguments[2])
    assert not device.records and found.cpu() == expected


def test_the_loss_is_checked_when_the_backward_pass_is_queued(device):
    weight = torch.ones(2, device=NAME, requires_grad=True)
    check, order = LossCheck(), []
    weight.register_hook(lambda gradient: order.append(len(device.records)))
    for factor, expected in ((1., None), (float('inf'), 'the loss is not finite: head.loss is inf')):
        total = (weight * factor).sum()
        device.records.clear()
        check(total, {'loss': total, 'head.loss': total})
        assert not device.records
        if expected is None:
            total.backward()
            assert kinds(device) == ['event'] and order == [0]
        else:
            with pytest.raises(FloatingPointError, match=f'^{expected}$'):
                total.backward()


def test_a_check_keeps_no_graph(device):
    weight = torch.ones(2, device=NAME, requires_grad=True)
    total = weight.sum()
    alive = weakref.ref(total)
    LossCheck()(total, dict(loss=total))
    del total
    assert alive() is None


def test_a_loss_without_a_gradient_is_checked_at_once(device):
    loss = torch.ones(2, device=NAME).sum()
    with pytest.raises(FloatingPointError, match='loss is inf'):
        LossCheck()(loss / 0, dict(loss=loss / 0))
