"""Data fractions: seeded, nested subsets of any mmsegmentation or mmpretrain data set.

The images are sorted by name and permuted once with a seed. A fraction is the first part of that permutation, so 10 %
is a subset of 20 %, 20 % of 30 % and so on. (SKD, arXiv 1911.06786, uses 10/20/25/30/40 %; its authors drew each subset
independently.) Classification data sets are split class by class, as in the paper.
"""

import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset

from skd_mm.utils import atomic_replace

# Names are turned into an array in pieces: a list of a million strings takes several times the memory.
_CHUNK = 2**16


def check_fraction(fraction: float) -> Fraction:
    """Return the exact number that ``fraction`` means.

    0.29 of 100 images are 29 of them, though ``int(100 * 0.29)`` is 28.

    Args:
        fraction: A number in (0, 1].

    Returns:
        The same number without binary rounding.

    Raises:
        ValueError: It is not a number in (0, 1].
    """
    if isinstance(fraction, bool) or not isinstance(fraction, Real) or not 0 < fraction <= 1:
        raise ValueError(f'fraction must be a number in (0, 1], not {fraction!r}')
    return Fraction(float(fraction)).limit_denominator(10**6)


def fraction_indices(dataset: Any, fraction: float, seed: int = 0) -> list[int]:
    """Return the indices of a fraction of a data set, independent of where the data is stored.

    Of N images, floor(N * fraction) are chosen. If each sample has one class (``gt_label`` is a number, as in
    mmpretrain's data sets), floor(n * fraction) of the n images of each class are chosen, and at least one.

    Subsets with the same seed are nested: the smaller fraction is a subset of the larger one. The pipeline is not run,
    and no image is read.

    Args:
        dataset: A data set derived from MMEngine's ``BaseDataset``, or a ``ConcatDataset`` of such, which counts as
            one data set. A fraction of 1 may be taken of any data set.
        fraction: The fraction, in (0, 1].
        seed: Seed of the permutation. Defaults to 0.

    Returns:
        Indices into ``dataset``, ascending.

    Raises:
        ValueError: ``fraction`` is outside (0, 1], or leaves no image; or it is less than 1 and ``dataset`` is a
            wrapper that repeats, mixes or hides samples, which the message names.
    """
    return fractions_of(dataset, [fraction], seed)[fraction].tolist()


def fractions_of(dataset: Any, fractions: Iterable[float], seed: int = 0) -> dict[float, np.ndarray]:
    """Return the indices of several fractions; the samples are listed and sorted once.

    Args:
        dataset: As in :func:`fraction_indices`.
        fractions: The fractions, in (0, 1].
        seed: Seed of the permutation. Defaults to 0.

    Returns:
        For each fraction the indices into ``dataset``, ascending.

    Raises:
        ValueError: As in :func:`fraction_indices`.
    """
    exact = {fraction: check_fraction(fraction) for fraction in fractions}
    if all(number == 1 for number in exact.values()):
        return {fraction: np.arange(len(dataset)) for fraction in exact}
    names: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for plain in _parts(dataset):
        part_names, part_labels = _names_and_labels(plain)
        names.append(part_names)
        if part_labels is not None:
            labels.append(part_labels)
    starts = np.cumsum([0, *map(len, names)])
    in_order = np.concatenate([start + np.argsort(part, kind='stable')
                               for start, part in zip(starts, names, strict=False)])
    # RandomState, as its numbers are guaranteed not to change between versions of NumPy.
    permuted = in_order[np.random.RandomState(seed).permutation(len(in_order))]
    classes = np.concatenate(labels)[permuted] if len(labels) == len(names) else None
    found = {}
    for fraction, number in exact.items():
        chosen = permuted[:_floor(len(permuted) * number)] if classes is None \
            else permuted[_first_of_each_class(classes, number)]
        if not len(chosen):
            raise ValueError(f'fraction {fraction} of {len(permuted)} images leaves none')
        found[fraction] = np.sort(chosen)
    return found


def sample_names(dataset: Any, indices: Sequence[int] | np.ndarray) -> list[str]:
    """Return names by which people find samples.

    Args:
        dataset: As in :func:`fraction_indices`.
        indices: Indices into it.

    Returns:
        For each index the path of its image relative to the data set's folder, or the index itself if samples are not
        files (CIFAR). In a ``ConcatDataset`` the number of the data set and ``:`` precede it.

    Raises:
        IndexError: An index is outside the data set.
        ValueError: As in :func:`fraction_indices`.
    """
    for plain in _parts(dataset):
        _check_plain(plain)
    names = []
    for i in indices:
        if not 0 <= i < len(dataset):
            raise IndexError(f'there is no sample {i}: the data set has {len(dataset)}')
        prefix, plain, index = _locate(dataset, int(i))
        names.append(prefix + (_relative_path(plain.get_data_info(index), _folder(plain)) or str(index)))
    return names


def write_fraction(path: str | os.PathLike,
                   names: Sequence[str],
                   fraction: float | None = None,
                   seed: int | None = None) -> None:
    """Write the names of the chosen samples to a file, one per line after a line of comment.

    The file appears complete or not at all.

    Args:
        path: The file to write; its folder is created if necessary.
        names: The names, see :func:`sample_names`.
        fraction: The fraction, for the comment. Omitted by default.
        seed: The seed, for the comment. Omitted by default.
    """
    facts = {'fraction': fraction, 'seed': seed, 'count': len(names)}
    header = ', '.join(f'{key} {value}' for key, value in facts.items() if value is not None)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    try:
        tmp.write_text('\n'.join([f'# {header}', *names, '']), encoding='utf-8')
        atomic_replace(tmp, path)
    finally:
        tmp.unlink(missing_ok=True)


def _floor(number: Fraction) -> int:
    return number.numerator // number.denominator


def _first_of_each_class(classes: np.ndarray, fraction: Fraction) -> np.ndarray:
    """Return a mask of the first ``fraction`` of each class, and of at least one sample."""
    _, class_of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    allowed = np.array([max(1, _floor(int(count) * fraction)) for count in counts])
    by_class = np.argsort(class_of, kind='stable')
    position = np.empty(len(classes), dtype=np.int64)
    position[by_class] = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return position < allowed[class_of]


def _parts(dataset: Any) -> Iterator[Any]:
    """Iterate over the data sets of a ``ConcatDataset``, also of nested ones, in order."""
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _parts(part)
    else:
        yield dataset


def _check_plain(dataset: Any) -> None:
    if not isinstance(dataset, BaseDataset):
        raise ValueError(f'a fraction cannot be taken of a {type(dataset).__name__}, since its samples belong to other '
                         'data sets; use the plain data set, or a ConcatDataset of plain data sets')


def _locate(dataset: Any, index: int) -> tuple[str, Any, int]:
    """Find the plain data set of a sample and the sample's index there."""
    prefix = ''
    while isinstance(dataset, ConcatDataset):
        part = int(np.searchsorted(dataset.cumulative_sizes, index, side='right'))
        index -= dataset.cumulative_sizes[part - 1] if part else 0
        dataset = dataset.datasets[part]
        prefix += f'{part}:'
    return prefix, dataset, index


def _names_and_labels(dataset: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """List the samples of a plain data set.

    Returns:
        ``[N]``: the paths of the images as bytes in UTF-8, which sort as strings do; empty if samples are not files.
        ``[N]``: the classes as integers, or None if a sample does not have exactly one.
    """
    _check_plain(dataset)
    folder = _folder(dataset)
    names: list[np.ndarray] = [np.zeros(0, dtype='S1')]
    classes: np.ndarray | None = np.zeros(len(dataset), dtype=np.int64)
    chunk: list[bytes] = []
    for i, info in enumerate(_infos(dataset)):
        chunk.append((_relative_path(info, folder) or '').encode())
        if len(chunk) == _CHUNK:
            names.append(np.array(chunk, dtype=np.bytes_))
            chunk.clear()
        label = info.get('gt_label')
        if label is None or (not isinstance(label, int) and np.ndim(label)):
            classes = None
        elif classes is not None:
            classes[i] = label
    if chunk:
        names.append(np.array(chunk, dtype=np.bytes_))
    return np.concatenate(names), classes


def _infos(dataset: BaseDataset) -> Iterator[dict[str, Any]]:
    """Iterate over the annotations of all samples."""
    dataset.full_init()
    if type(dataset).get_data_info is not BaseDataset.get_data_info or not dataset.serialize_data:
        yield from map(dataset.get_data_info, range(len(dataset)))
        return
    # The same without its indexing, which takes twice as long as unpickling.
    pickles, start = memoryview(dataset.data_bytes), 0
    for end in dataset.data_address.tolist():
        yield pickle.loads(pickles[start:end])
        start = end


def _relative_path(info: dict[str, Any], folder: str | None) -> str | None:
    """Return the path of an image relative to its data set's folder, since names must not depend on the folder."""
    path = info.get('img_path')
    if path is None:
        return None
    if folder and path.startswith(folder):
        rest = path[len(folder):]
        # Most paths need no normalisation, which takes longer than everything else here.
        if rest.startswith('/') and '//' not in rest and '/.' not in rest:
            return rest[1:]
        path = os.path.relpath(path, folder)
    return path.replace(os.sep, '/')


def _folder(dataset: BaseDataset) -> str | None:
    folder = dataset.data_prefix.get('img_path') if isinstance(dataset.data_prefix, dict) else None
    return folder or dataset.data_root
