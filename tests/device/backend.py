"""Registers ``testdev`` as a device of PyTorch, once per process and before the first backward pass.

PyTorch sizes its pool of backward threads by the devices that it knows at the first backward pass. So this module is
imported when tests are collected, and the device is there for as long as a test has switched it on. As with CUDA, a
process that has run a backward pass cannot fork another one that does.
"""

from contextlib import contextmanager

import torch
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _DummyPrivateUse1Hook,
    _setup_privateuseone_for_python_backend,
)

from .ledger import Ledger

NAME = 'testdev'


class State:
    """Whether a test uses the device, and where its events go."""

    def __init__(self):
        self.on = False
        self.ledger = Ledger()


STATE = State()


class Event:
    """As ``torch.cuda.Event``: it covers all copies that were begun before it was recorded."""

    def __init__(self, **kwargs):
        self.time = None

    def record(self, stream=None):
        self.time = STATE.ledger.time

    def synchronize(self):
        STATE.ledger.wait_for(self.time)


class BackendModule(_DummyBackendModule):
    """``torch.testdev``."""

    Event = Event

    def is_available(self):
        return STATE.on

    def is_initialized(self):
        return STATE.on

    def get_amp_supported_dtype(self):
        return [torch.float16, torch.bfloat16]

    def synchronize(self, device=None):
        STATE.ledger.wait('synchronize')

    def get_rng_state(self, device=None):
        return torch.get_rng_state()

    def set_rng_state(self, state, device=None):
        torch.set_rng_state(state)


class Hook(_DummyPrivateUse1Hook):
    """What PyTorch itself asks of a device."""

    def is_available(self):
        return STATE.on

    def has_primary_context(self, index):
        return STATE.on


class Generator(torch._C.Generator):
    """A random generator on the device; its numbers are those of the CPU."""

    def __new__(cls, device='cpu'):
        return super().__new__(cls, 'cpu' if torch.device(device).type == NAME else device)


if torch._C._get_privateuse1_backend_name() != NAME:
    _HOOK = Hook()  # PyTorch refers to a part of it alone
    _setup_privateuseone_for_python_backend(NAME, BackendModule(), _HOOK)

DEVICE = torch.device(NAME, 0)


@contextmanager
def switched_on():
    """For the time of this the device is there; gives its ledger."""
    swap = torch.__future__.get_swap_module_params_on_conversion()
    # As on CUDA, `module.to(device)` moves the parameters that are there and makes no others.
    torch.__future__.set_swap_module_params_on_conversion(True)
    STATE.on, STATE.ledger = True, Ledger()
    try:
        yield STATE.ledger
    finally:
        STATE.on = False
        torch.__future__.set_swap_module_params_on_conversion(swap)
