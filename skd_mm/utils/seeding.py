"""Random seeds as functions of the position in a run."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.utils.data


def derive_seed(*parts: int | str) -> int:
    """Return a seed that is a function of the parts only.

    Args:
        *parts: For example the run's seed, the phase, the epoch and the position.

    Returns:
        A number in [0, 2**32), which every random generator in use takes.
    """
    digest = hashlib.blake2b('/'.join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, 'big')


def seed_everything(seed: int) -> None:
    """Set the state of Python's, NumPy's and PyTorch's global generators (on all devices).

    Args:
        seed: In [0, 2**32).
    """
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed formats a traceback for every device that is not there, half a millisecond a call.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized() and not torch.utils.data.get_worker_info():
        torch.cuda.manual_seed_all(seed)


@contextmanager
def temporary_seed(seed: int) -> Iterator[None]:
    """For the time of this the global generators start from a seed of its own; afterwards they are as they were.

    Args:
        seed: In [0, 2**32).
    """
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        seed_everything(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
