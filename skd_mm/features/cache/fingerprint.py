"""Hash of everything that cached features depend on: runs with the same hash may read each other's features.

The hash of a phase must contain:

- the samples of training and validation, with their files and transforms: :func:`samples_of`;
- the config, but for the places of files; the seed and the name of the phase, since the views of an image depend on
  the seed; the number of processes, since each process has its own samples;
- the data preprocessors of student and teacher;
- the teacher with its weights and buffers, whenever anything reads one of its features: a spot, a discriminator or a
  router. A phase whose only active spots are discriminators needs the teacher, too;
- the structure of the whole student (:func:`structure_of`), and the weights and buffers of its frozen prefix.

:func:`fingerprint` adds the source of this toolkit and the versions of the libraries.
"""

import hashlib
import inspect
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import skd_mm
from skd_mm.tasks import LIBRARIES
from skd_mm.utils import plain_datasets

_PLAIN = (bool, int, float, str, tuple, type(None))
_LIBRARIES = ('torch', 'torchvision', 'mmengine', 'mmcv', *LIBRARIES, 'numpy', 'cv2')
# Samples whose files are looked at. A file system of a cluster may take a millisecond per file.
_FILES = 2**15


def fingerprint(*parts: Any) -> str:
    """Return one hash of all arguments.

    Args:
        *parts: Modules (weights, buffers, plain attributes and the source files of their classes), tensors, arrays,
            paths (size and time of the file), mappings and sequences of these; of anything else its ``repr``.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (code_version(), *parts):
        _feed(digest, part)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return a hash of this toolkit's source and of the versions of the libraries that compute features."""
    digest = hashlib.blake2b(digest_size=16)
    root = Path(skd_mm.__file__).parent
    for file in sorted(root.rglob('*.py')):
        if '.mim' not in file.relative_to(root).parts:
            _feed(digest, [str(file.relative_to(root)), file.read_bytes()])
    distributions = packages_distributions()
    versions = []
    for library in _LIBRARIES:
        versions += [(library, name, version(name)) for name in sorted(set(distributions.get(library, [])))]
    _feed(digest, versions)
    return digest.hexdigest()


def structure_of(model: nn.Module) -> list[Any]:
    """Return the structure of a model without its weights.

    Args:
        model: Any module.

    Returns:
        The name, class and plain attributes of each of its modules, for :func:`fingerprint`.
    """
    structure: list[Any] = []
    for name, module in model.named_modules():
        attributes = {key: value for key, value in sorted(vars(module).items())
                      if isinstance(value, _PLAIN) and key != 'training'}
        structure.append([name, type(module), attributes])
    return structure


def samples_of(dataset: Any, indices: Sequence[int] | np.ndarray | None = None) -> list[Any]:
    """Return what identifies the samples of a data set: their annotations, files and transforms.

    Annotations that MMEngine has serialised are hashed as they are, those of a million samples in a second. Of more
    than 32,768 samples the files of so many are looked at, evenly spread; a change of the other files is noticed if it
    changes their names or number.

    Args:
        dataset: A data set derived from MMEngine's ``BaseDataset``, or a wrapper that concatenates or repeats such; of
            any other data set, its class and length.
        indices: Indices of the samples; all by default.

    Returns:
        A few values for :func:`fingerprint`.
    """
    chosen = np.arange(len(dataset)) if indices is None else np.asarray(indices)
    plain = plain_datasets(dataset)
    transforms = []
    for part in plain:
        steps = getattr(getattr(part, 'pipeline', None), 'transforms', ())
        transforms.append([type(part), *map(type, steps)])
    facts: list[Any] = [type(dataset), len(dataset), transforms, chosen]
    if not hasattr(dataset, 'get_data_info'):
        return facts
    if all(getattr(part, 'serialize_data', False) and hasattr(part, 'data_bytes') for part in plain):
        facts.append([_hash([part.data_bytes, part.data_address]) for part in plain])
    else:
        facts.append(_hash(map(dataset.get_data_info, chosen.tolist())))
    step = -(-len(chosen) // _FILES) or 1
    facts.append(_hash(_files(dataset.get_data_info(index)) for index in chosen[::step].tolist()))
    return facts


def _files(info: Mapping[str, Any]) -> list[Path]:
    return [Path(value) for key, value in info.items() if key.endswith('path') and isinstance(value, str)]


def _hash(values: Iterable[Any]) -> str:
    """Return a hash of values that are not all in memory at once."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    # The type precedes each value, and the length each sequence, so that no two values look alike.
    digest.update(type(value).__qualname__.encode() + b'\0')
    for kinds, feed in _FEEDERS:
        if isinstance(value, kinds):
            feed(digest, value)
            return
    _feed_text(digest, value)


def _feed_module(digest: Any, value: nn.Module) -> None:
    _feed(digest, [structure_of(value), *value.named_parameters(), *value.named_buffers()])


def _feed_tensor(digest: Any, value: Tensor) -> None:
    flat = value.detach().cpu().contiguous().reshape(-1)
    _feed(digest, [str(value.dtype), tuple(value.shape), flat.view(torch.uint8).numpy() if flat.numel() else b''])


def _feed_array(digest: Any, value: np.ndarray) -> None:
    if value.dtype == object:
        _feed_text(digest, value)
        return
    digest.update(f'{value.dtype}{value.shape}'.encode())
    digest.update(np.ascontiguousarray(value).data)


def _feed_bytes(digest: Any, value: bytes) -> None:
    digest.update(str(len(value)).encode() + b'\0' + value)


def _feed_path(digest: Any, value: Path) -> None:
    try:
        facts = os.stat(value)
    except OSError:
        _feed(digest, [str(value), None])
    else:
        _feed(digest, [str(value), (facts.st_size, facts.st_mtime_ns)])


def _feed_type(digest: Any, value: type) -> None:
    _feed(digest, [f'{value.__module__}.{value.__qualname__}', _source(value)])


def _feed_mapping(digest: Any, value: Mapping[Any, Any]) -> None:
    parts: list[Any] = []
    for item in value.items():
        parts += item
    _feed(digest, parts)


def _feed_sequence(digest: Any, value: Sequence[Any]) -> None:
    digest.update(str(len(value)).encode() + b'\0')
    for part in value:
        _feed(digest, part)


def _feed_text(digest: Any, value: Any) -> None:
    text = re.sub(r' at 0x[0-9a-f]+', '', repr(value)).encode()
    digest.update(str(len(text)).encode() + b'\0' + text)


_FEEDERS: tuple[tuple[Any, Any], ...] = (
    (nn.Module, _feed_module), (Tensor, _feed_tensor), (np.ndarray, _feed_array), (bytes, _feed_bytes),
    (Path, _feed_path), (type, _feed_type), (Mapping, _feed_mapping), ((list, tuple), _feed_sequence))


@cache
def _source(kind: type) -> bytes:
    """Return a hash of the file that defines a class; classes of libraries are known by the library's version."""
    try:
        file = Path(inspect.getfile(kind))
    except (TypeError, OSError):
        return b''
    if any(part in ('site-packages', 'dist-packages') for part in file.parts) or not file.is_file():
        return b''
    return hashlib.blake2b(file.read_bytes()).digest()
