"""State of a process that one test must not leave to the next one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SETTINGS = ((torch.get_default_dtype, torch.set_default_dtype),
             (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
             (torch.get_num_threads, torch.set_num_threads),
             (torch.is_grad_enabled, torch.set_grad_enabled))


@contextmanager
def restored_state() -> Iterator[None]:
    """Restores the settings of torch, the environment variables and the working directory at the end."""
    settings = [(read(), write) for read, write in _SETTINGS]
    folder, environment = os.getcwd(), dict(os.environ)
    try:
        yield
    finally:
        for value, write in settings:
            write(value)
        os.chdir(folder)
        for name in (os.environ.keys() | environment.keys()) - {'PYTEST_CURRENT_TEST'}:
            if name not in environment:
                del os.environ[name]
            elif os.environ.get(name) != environment[name]:
                os.environ[name] = environment[name]
