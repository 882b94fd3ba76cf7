"""The device itself: what it refuses, what it counts, and that its results are those of the CPU."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.device.backend import DEVICE, NAME
from tests.device.kinds import KINDS
from tests.device.ledger import LIBRARIES, PACKAGE
from tests.device.tensor import DeviceTensor
from tests.helpers import config, differing, state, train


def kinds(ledger):
    return [record.kind for record in ledger.records]


@pytest.fixture
def x(device):
    return torch.arange(6., device=NAME).view(2, 3)


MIXED = {
    'add': lambda x: x + torch.ones(2, 3),
    'add the other way': lambda x: torch.ones(2, 3) + x,
    'matrix product': lambda x: x @ torch.ones(3, 3),
    'concatenation': lambda x: torch.cat([x, torch.ones(2, 3)]),
    'gather': lambda x: x.gather(1, torch.zeros(2, 1, dtype=torch.long)),
    'where': lambda x: torch.where(torch.ones(2, 3, dtype=torch.bool), x, x),
    'changing the CPU in place': lambda x: torch.ones(2, 3).mul_(x[0, 0]),
    'changing a number of the CPU in place': lambda x: torch.ones(()).mul_(x[0, 0]),
    'assigning': lambda x: x.index_put_((torch.zeros(1, dtype=torch.long, device=NAME), ), torch.ones(1, 3)),
    'a layer': lambda x: nn.Linear(3, 1)(x),
    'the data of a layer': lambda x: nn.Linear(3, 1).to(NAME)(torch.ones(2, 3)),
    'a loss': lambda x: F.cross_entropy(x, torch.zeros(2, dtype=torch.long)),
}


@pytest.mark.parametrize('name', MIXED)
def test_mixing_devices_is_refused(name, x):
    with pytest.raises(RuntimeError, match='Expected all tensors to be on the same device'):
        MIXED[name](x)


def test_numbers_of_the_cpu_may_be_read(x, device):
    assert (x + torch.tensor(1.)).device == (torch.tensor(2.) * x).device == DEVICE
    torch.where(x > 0, x, torch.tensor(0.))
    assert not device.records


WAITS = {
    'item': lambda x: x.sum().item(),
    'bool': lambda x: bool(x.any()),
    'float': lambda x: float(x[0, 0]),
    'format': lambda x: f'{x[0, 0]:.2f}',
    'tolist': lambda x: x.tolist(),
    'if': lambda x: 1 if x[0, 1] > 0 else 2,
    'index of a slice': lambda x: x[:(x[0, 1] > 0).long()],
    'cpu': lambda x: x.cpu(),
    'numpy': lambda x: x.cpu().numpy(),
    'to': lambda x: x.to('cpu', torch.float64),
    'copy_': lambda x: torch.empty(2, 3).copy_(x),
    'copy to pageable memory': lambda x: torch.empty(2, 3).copy_(x, non_blocking=True),
    'equal': lambda x: torch.equal(x, x),
    'allclose': lambda x: torch.allclose(x, x),
    'nonzero': lambda x: x.nonzero(),
    'where': lambda x: torch.where(x > 0),
    'masked_select': lambda x: x.masked_select(x > 0),
    'mask': lambda x: x[x > 0],
    'mask on the left': lambda x: x.__setitem__(x > 3, torch.ones(2, device=NAME)),
    'unique': lambda x: x.unique(),
    'bincount': lambda x: x[0].long().bincount(),
    'repeat_interleave': lambda x: x.repeat_interleave(torch.ones(3, dtype=torch.long, device=NAME), dim=1),
    'multinomial': lambda x: torch.multinomial(x, 1),
    'synchronize': lambda x: torch.testdev.synchronize(),
}


@pytest.mark.parametrize('name', WAITS)
def test_waits_are_counted(name, x, device):
    WAITS[name](x)
    assert kinds(device).count('wait') == 1, device.records


QUEUED = {
    'arithmetic': lambda x: (x * 2 + 1).softmax(1).mean().isfinite(),
    'fill by a mask': lambda x: x.__setitem__(x > 3, 0.),
    'masked_fill': lambda x: x.masked_fill(x > 3, 0),
    'index': lambda x: x[x[:, 0].long() // 3],
    'one_hot': lambda x: F.one_hot(x.long(), 6),
    'factories': lambda x: (torch.zeros(2, device=NAME), torch.full((), 3., device=NAME), x.new_ones(2),
                            torch.rand(3, device=NAME), torch.arange(3, device=NAME)),
    'multinomial': lambda x: torch.multinomial(x, 2, replacement=True),
    'sort': lambda x: torch.searchsorted(x[0].sort()[0], x[1]),
    'pinned': lambda x: torch.ones(2).pin_memory().to(NAME, non_blocking=True),
    'a row of pinned memory': lambda x: torch.ones(2, 2, pin_memory=True)[1].to(NAME, non_blocking=True),
    'copy to the host': lambda x: x.to('cpu', non_blocking=True),
    'copy to pinned memory': lambda x: torch.empty(2, 3, pin_memory=True).copy_(x, non_blocking=True),
    'a copy of a model': lambda x: copy.deepcopy(nn.Linear(3, 1, device=NAME))(x).sum().backward(),
}


@pytest.mark.parametrize('name', QUEUED)
def test_what_is_only_queued_is_not_counted(name, x, device):
    device.records.clear()
    QUEUED[name](x)
    assert not device.records


COPIES = {
    'to': lambda x: torch.ones(2).to(NAME),
    'to without pinned memory': lambda x: torch.ones(2).to(NAME, non_blocking=True),
    'to without non_blocking': lambda x: torch.ones(2).pin_memory().to(NAME),
    'tensor': lambda x: torch.tensor([1, 2], device=NAME),
    'new_tensor': lambda x: x.new_tensor([1, 2]),
    'copy_': lambda x: x.copy_(torch.ones(2, 3)),
    'index': lambda x: x[torch.tensor([0, 1])],
    'a list as an index': lambda x: x[[0, 1]],
    'a model': lambda x: nn.Linear(3, 1, bias=False).to(NAME),
}


@pytest.mark.parametrize('name', COPIES)
def test_copies_that_block_are_counted(name, x, device):
    device.records.clear()
    COPIES[name](x)
    assert kinds(device) == ['copy']


def test_a_copy_that_may_not_have_arrived_is_not_read(x, device):
    early, late = x.isfinite().all().to('cpu', non_blocking=True), x.to('cpu', non_blocking=True)
    with pytest.raises(RuntimeError, match='before anything has waited'):
        early.item()
    event = torch.testdev.Event()
    with pytest.raises(RuntimeError, match='never recorded'):
        event.synchronize()
    event.record()
    too_late = (x + 1).to('cpu', non_blocking=True)
    event.synchronize()
    assert early.item() is True and late[0, 1] == 1
    with pytest.raises(RuntimeError, match='before anything has waited'):
        too_late.add(1)
    x.sum().item()
    assert too_late[0, 0] == 1
    assert kinds(device) == ['event', 'wait']


def function_in(file, body, **names):
    """A function whose source is said to be in a file."""
    exec(compile(f'def function(x):\n    return {body}', file, 'exec'), names)
    return names['function']


def test_events_have_their_line(x, device):
    theirs = function_in(f'{LIBRARIES}mmseg/loss.py', 'x.sum().item()')
    ours = function_in(f'{PACKAGE}losses/x.py', 'x.tolist()')
    through = function_in(f'{PACKAGE}distillers/y.py', 'theirs(x)', theirs=theirs)
    for device.step, device.first, function in ((0, True, ours), (1, False, ours), (2, False, theirs),
                                                (3, False, through), (None, False, ours)):
        function(x)
    places = [(record.line, record.ours, record.through) for record in device.records]
    own, library = 'skd_mm/losses/x.py:2 in function', 'mmseg/loss.py:2 in function'
    assert places[:2] == [(own, True, own)] * 2 and places[4] == (own, True, own)
    assert places[2:4] == [(library, False, ''), (library, False, 'skd_mm/distillers/y.py:2 in function')]
    assert [record.step for record in device.find('wait')] == [1] and device.find('wait', first=True)[0].step == 0
    assert [record.step for record in device.find('wait', ours=False)] == [1, 2, 3] and not device.find('copy')
    assert f'1 × wait: aten._local_scalar_dense at {library} (through skd_mm' in device.report('wait', ours=False)
    x.sum().item()
    assert device.records[-1].line.split(':')[0] == 'tests/device/test_device.py'


def test_a_model_keeps_its_parameters_when_it_is_moved(device):
    model = nn.Linear(2, 2)
    weight, before = model.weight, state(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    model.to(NAME)
    assert model.weight is weight and weight.device == DEVICE and isinstance(weight, nn.Parameter)
    model(torch.ones(1, 2, device=NAME)).sum().backward()
    optimizer.step()
    assert weight.grad.device == DEVICE
    model.to('cpu')
    assert type(model.weight.data) is torch.Tensor
    torch.testing.assert_close(model.weight.detach(), before['weight'] - 1)


def test_autocast(x, device, amp):
    layer = nn.Linear(3, 2).to(NAME)
    with torch.autocast(NAME, dtype=torch.bfloat16):
        y = layer(x)
        assert y.dtype == (x @ x.t()).dtype == torch.bfloat16
        assert y.softmax(1).dtype == torch.float32 and (x + 1).dtype == torch.float32
        with torch.autocast(NAME, enabled=False):
            assert layer(x).dtype == torch.float32
        with pytest.raises(RuntimeError, match='Expected all tensors to be on the same device'):
            layer(torch.ones(2, 3))
    y.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32


def test_the_device_is_there_only_while_a_test_uses_it():
    assert not torch.testdev.is_available() and not torch.accelerator.is_available()
    model = nn.Linear(2, 2)
    model(torch.ones(1, 2)).sum().backward()
    assert type(model.weight.grad) is torch.Tensor


@pytest.mark.parametrize('kind', ['simultaneous', 'router policy', 'contrastive memory', 'cache in memory'])
def test_a_run_on_the_device_is_the_run_on_the_cpu(kind, request, tmp_path):
    expected = state(train(config(tmp_path / 'cpu', **KINDS[kind])).model)
    runner = request.getfixturevalue('run')(config(tmp_path / 'device', **KINDS[kind]))
    moved = state(runner.model, copy=False)
    assert all(isinstance(value, DeviceTensor) for value in moved.values())
    assert not differing({name: value.detach().cpu() for name, value in moved.items()}, expected)
