"""A device in pure Python, on which tests run what they otherwise run on a GPU.

``testdev`` is a device like any other for PyTorch, MMEngine and the package: models and batches are moved to it,
autograd runs its backward passes, ``torch.autocast`` knows it. Its tensors hold ordinary tensors of the CPU, so that
all results are those of the CPU, to the bit. What it adds: it refuses what a GPU refuses, above all an operation on
tensors of two devices; and it records, by line of source, everything for which a GPU makes the host wait: ``item``, a
copy to the host, ``nonzero`` and indexing by a mask, ``equal``, ``unique``, a copy from pageable memory.

It has no time and no memory of its own, and does not know other operations' needs of contiguous or aligned memory.
"""

import threading
from functools import partial
from unittest import mock

import mmengine.device.utils
import mmengine.runner.amp
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import HOOKS

from tests.device import autocast, backend, tensor  # noqa: F401
from tests.helpers import train


@HOOKS.register_module(force=True)
class StepHook(Hook):
    """Tells the ledger where an iteration begins, or where it ends."""

    def __init__(self, begins):
        self.begins = begins

    def before_phase(self, runner):
        if self.begins:
            backend.STATE.ledger.first = True
            backend.STATE.ledger.phases += 1

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.begins:
            backend.STATE.ledger.step = backend.STATE.ledger.steps

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        ledger = backend.STATE.ledger
        if not self.begins:
            ledger.step, ledger.first = None, False
            ledger.steps += 1


_run_thread = threading.Thread.run


def _run_thread_on_device(thread):
    with tensor.DeviceMode():  # a mode belongs to a thread
        _run_thread(thread)


_load = torch.load


def _moved(value):
    if isinstance(value, torch.Tensor):
        return value.to(backend.NAME)
    if isinstance(value, dict):
        return type(value)((key, _moved(part)) for key, part in value.items())
    return [_moved(part) for part in value] if isinstance(value, list) else value


def _load_to_device(file, map_location=None, **kwargs):
    if map_location is None or torch.device(map_location).type != backend.NAME:
        return _load(file, map_location=map_location, **kwargs)
    return _moved(_load(file, map_location='cpu', **kwargs))


@pytest.fixture
def device():
    """The device, switched on; gives its ledger."""
    with backend.switched_on() as ledger, tensor.DeviceMode(), \
            mock.patch.object(mmengine.device.utils, 'DEVICE', backend.NAME), \
            mock.patch.object(torch, 'Generator', backend.Generator), \
            mock.patch.object(torch, 'load', _load_to_device), \
            mock.patch.object(torch.Tensor, 'pin_memory', tensor.pin_memory), \
            mock.patch.object(torch.Tensor, 'is_pinned', tensor.is_pinned), \
            mock.patch.object(threading.Thread, 'run', _run_thread_on_device):
        yield ledger


@pytest.fixture
def amp(monkeypatch):
    """MMEngine, which has a list of devices with mixed precision, takes this one for an NPU there."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_npu_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', partial(torch.amp.GradScaler, backend.NAME))
    monkeypatch.setattr(mmengine.runner.amp, 'autocast', partial(torch.autocast, backend.NAME))


@pytest.fixture
def run(device):
    """Trains a config on the device and gives the Runner back; the device's ledger has the events."""

    def run(cfg, resume=False):
        cfg = Config(cfg.to_dict())
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='mmengine.StepHook', begins=True, priority=0),
                            dict(type='mmengine.StepHook', begins=False, priority=100)]
        runner = train(cfg, resume)
        assert next(runner.model.parameters()).device == backend.DEVICE
        return runner

    return run
