"""What features depend on, as one hash: two runs with the same one may read each other's."""

import hashlib
import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import skd_mm

_PLAIN = (bool, int, float, str, tuple, type(None))
_LIBRARIES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmseg', 'mmpretrain', 'numpy', 'cv2')


def fingerprint(*parts: Any) -> str:
    """One hash of everything that is given.

    Args:
        *parts: Modules (weights, buffers, plain attributes and the source files of their classes), tensors, arrays,
            paths (the size and time of the file), mappings and sequences of these; of anything else its ``repr``.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (code_version(), *parts):
        _feed(digest, part)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """The source of this toolkit and the versions of the libraries that features come from."""
    digest = hashlib.blake2b(digest_size=16)
    root = Path(skd_mm.__file__).parent
    for file in sorted(root.rglob('*.py')):
        if '.mim' not in file.relative_to(root).parts:
            _feed(digest, [str(file.relative_to(root)), file.read_bytes()])
    distributions = packages_distributions()
    _feed(digest, [(library, name, version(name)) for library in _LIBRARIES
                   for name in sorted(set(distributions.get(library, [])))])
    return digest.hexdigest()


def structure_of(model: nn.Module) -> list[Any]:
    """What a model is made of, without its weights.

    Args:
        model: Any module.

    Returns:
        The name, class and plain attributes of each of its modules, as :func:`fingerprint` takes them.
    """
    return [[name, type(module), {key: entry for key, entry in sorted(vars(module).items())
                                  if isinstance(entry, _PLAIN) and key != 'training'}]
            for name, module in model.named_modules()]


def samples_of(dataset: Any, indices: Iterable[int] | None = None) -> list[Any]:
    """What identifies the samples of a data set: what it knows of them, and the files behind it.

    Args:
        dataset: A data set derived from MMEngine's ``BaseDataset``, or a ``ConcatDataset`` of such; of any other, its
            class and length.
        indices: Which samples; all by default.

    Returns:
        What :func:`fingerprint` takes.
    """
    parts = [type(step) for part in getattr(dataset, 'datasets', [dataset])
             for step in getattr(getattr(part, 'pipeline', None), 'transforms', ())]
    facts: list[Any] = [type(dataset), len(dataset), parts]
    if hasattr(dataset, 'get_data_info'):
        for i in range(len(dataset)) if indices is None else indices:
            info = dataset.get_data_info(i)
            facts.append([info, [Path(value) for key, value in info.items()
                                 if key.endswith('path') and isinstance(value, str)]])
    return facts


def _feed(digest: Any, value: Any) -> None:
    # Its kind stands before every value, and its length before every sequence: no two things look alike.
    digest.update(type(value).__qualname__.encode() + b'\0')
    if isinstance(value, nn.Module):
        _feed(digest, [structure_of(value), *value.named_parameters(), *value.named_buffers()])
    elif isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        _feed(digest, [str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy() if flat.numel() else b''])
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f'{value.dtype}{value.shape}'.encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, bytes):
        digest.update(str(len(value)).encode() + b'\0' + value)
    elif isinstance(value, Path):
        facts = value.stat() if value.exists() else None
        _feed(digest, [str(value), facts and (facts.st_size, facts.st_mtime_ns)])
    elif isinstance(value, type):
        _feed(digest, [f'{value.__module__}.{value.__qualname__}', _source(value)])
    elif isinstance(value, Mapping):
        _feed(digest, [part for item in value.items() for part in item])
    elif isinstance(value, list | tuple):
        digest.update(str(len(value)).encode() + b'\0')
        for part in value:
            _feed(digest, part)
    else:
        text = re.sub(r' at 0x[0-9a-f]+', '', repr(value)).encode()
        digest.update(str(len(text)).encode() + b'\0' + text)


@cache
def _source(kind: type) -> bytes:
    """The file in which a class is written; what belongs to a library goes by the library's version."""
    try:
        file = Path(inspect.getfile(kind))
    except (TypeError, OSError):
        return b''
    if any(part in ('site-packages', 'dist-packages') for part in file.parts) or not file.is_file():
        return b''
    return hashlib.blake2b(file.read_bytes()).digest()
