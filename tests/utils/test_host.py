"""What an accelerator adds is in ``tests/device``."""

import copy

import pytest
import torch

from skd_mm.utils import DeferredChecks, HostCopy, to_device


def test_a_copy_on_the_cpu_is_there_at_once():
    value = torch.tensor([1., 2.], requires_grad=True)
    found = HostCopy(value)
    assert found.immediate and torch.equal(found.read(), value) and not found.read().requires_grad
    assert copy.deepcopy(found) is found


def test_a_check_on_the_cpu_raises_at_once():
    checks, value = DeferredChecks(), torch.tensor(7)
    checks.require(value > 3, value, 'a label {} is too small')
    checks.check()
    with pytest.raises(ValueError, match='a label 7 is too large'):
        checks.require(value < 3, value, 'a label {} is too large')
    checks.check()


@pytest.mark.parametrize(('values', 'dtype'), [([3, 1], torch.long), ([0.5], torch.float), ([True], torch.bool)])
def test_numbers_become_what_torch_makes_of_them(values, dtype):
    tensor = to_device(values, torch.device('cpu'))
    assert tensor.tolist() == values and tensor.dtype == dtype
