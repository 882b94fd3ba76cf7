"""Reading checkpoint files completely or not at all, without running any code in them.

:func:`skd_mm.compat.patch_checkpoint_loading` makes MMEngine use this module to load checkpoints.
"""

import os
import pickle
import zipfile
from typing import IO, Any

import torch

TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
"""PyTorch's own variable: with ``1`` in it, checkpoints may run code. For files whose author is known."""


class CheckpointError(ValueError):
    """A file is damaged, or has content that is only loaded with the user's permission."""


def trusted() -> bool:
    """Return whether the user allows checkpoints to run code with :data:`TRUST`."""
    return os.environ.get(TRUST, '0').lower() in ('1', 'y', 'yes', 'true')


def read_checkpoint(file: str | os.PathLike | IO[bytes], map_location: Any = None) -> Any:
    """Read a checkpoint.

    Args:
        file: A path, or an open file.
        map_location: As for ``torch.load``.

    Returns:
        Its content: tensors, plain Python values, and the types that MMEngine writes.

    Raises:
        CheckpointError: The file is damaged (PyTorch itself does not verify the checksums of tensors), or has other
            content, and :data:`TRUST` is not set.
        FileNotFoundError: There is no such file.
    """
    if isinstance(file, str | os.PathLike):
        with open(file, 'rb') as opened:
            return _read(opened, os.fspath(file), map_location)
    return _read(file, 'the checkpoint', map_location)


def _read(file: IO[bytes], name: str, map_location: Any) -> Any:
    whole = False
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
            if damaged:
                raise CheckpointError(f'{name} is damaged: the checksum of {damaged!r} in it is wrong')
            whole = True
        file.seek(0)
        return torch.load(file, map_location=map_location, weights_only=not trusted())
    except (CheckpointError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes of the unpickler
        reason = str(error)
        if 'GLOBAL' in reason or (whole and isinstance(error, pickle.UnpicklingError | ValueError)):
            lines = [line.strip() for line in reason.splitlines() if 'GLOBAL' in line] or reason.splitlines()[-1:]
            raise CheckpointError(
                f'{name} is not loaded: it holds more than weights and plain values, and loading that could run code '
                f'({" ".join(lines)[:300]}). If you trust whoever made it, set {TRUST}=1 in the environment') from error
        raise CheckpointError(f'{name} cannot be read, it is damaged or no checkpoint: {type(error).__name__}: '
                              f'{reason.partition(". ")[0][:200]}') from error
