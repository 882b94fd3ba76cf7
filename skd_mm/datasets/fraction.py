"""Data fractions: seeded, nested subsets of any mmsegmentation or mmpretrain data set.

The images are put in the order of their names, one seeded permutation is drawn over them, and a fraction is the first
part of it, so 10 % lies in 20 %, 20 % in 30 % and so on (SKD, arXiv 1911.06786, uses 10/20/25/30/40 %; the authors
drew each anew). Classification data sets are cut class by class, as the paper's are.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset, ConcatDataset

_Key = tuple[tuple[int, ...], str, int]


def check_fraction(fraction: float) -> Fraction:
    """The exact number meant by ``fraction``: 0.29 of 100 images are 29 of them, though ``int(100 * 0.29)`` is 28.

    Args:
        fraction: A number in (0, 1].

    Returns:
        The same number, freed of binary rounding.

    Raises:
        ValueError: It is no number in (0, 1].
    """
    if isinstance(fraction, bool) or not isinstance(fraction, Real) or not 0 < fraction <= 1:
        raise ValueError(f'fraction must be a number in (0, 1], not {fraction!r}')
    return Fraction(float(fraction)).limit_denominator(10**6)


def fraction_indices(dataset: Any, fraction: float, seed: int = 0) -> list[int]:
    """The indices of a fraction of a data set, the same ones wherever the data lies.

    Of N images, floor(N * fraction) are taken. Where every sample has one class (``gt_label`` is a number, as in
    mmpretrain's data sets), floor(n * fraction) of the n images of each class are, and at least one.

    Subsets of one seed are nested: the smaller fraction lies in the larger. The pipeline is not run, and no image is
    read.

    Args:
        dataset: A data set derived from MMEngine's ``BaseDataset``, or a ``ConcatDataset`` of such, which is taken as
            one data set.
        fraction: How much of it, in (0, 1].
        seed: Which permutation. Defaults to 0.

    Returns:
        Indices into ``dataset``, ascending.

    Raises:
        ValueError: ``fraction`` is outside (0, 1], or leaves no image; or ``dataset`` is a wrapper that repeats, mixes
            or hides samples, which the message names.
    """
    exact = check_fraction(fraction)
    samples = list(_samples(dataset))
    if exact == 1:
        return list(range(len(samples)))
    in_order = sorted(range(len(samples)), key=lambda i: samples[i][0])
    # RandomState, as its numbers are promised never to change between versions of NumPy
    permuted = [in_order[i] for i in np.random.RandomState(seed).permutation(len(samples))]
    labels = [label for _, label in samples]
    if any(label is None for label in labels):
        chosen = permuted[:_floor(len(samples) * exact)]
    else:
        room = {label: max(1, _floor(count * exact)) for label, count in Counter(labels).items()}
        chosen = []
        for i in permuted:
            if room[labels[i]]:
                room[labels[i]] -= 1
                chosen.append(i)
    if not chosen:
        raise ValueError(f'fraction {fraction} of {len(samples)} images leaves none')
    return sorted(chosen)


def sample_names(dataset: Any, indices: Sequence[int]) -> list[str]:
    """The names by which a person finds samples again.

    Args:
        dataset: As in :func:`fraction_indices`.
        indices: Indices into it.

    Returns:
        For each index the path of its image below the data set's folder, or the index itself where samples are no
        files (CIFAR). In a ``ConcatDataset``, the number of the data set and ``:`` stand before it.

    Raises:
        IndexError: An index is outside the data set.
        ValueError: As in :func:`fraction_indices`.
    """
    names = [_name(key) for key, _ in _samples(dataset)]
    for i in indices:
        if not 0 <= i < len(names):
            raise IndexError(f'there is no sample {i}: the data set has {len(names)}')
    return [names[i] for i in indices]


def write_fraction(path: str | os.PathLike,
                   names: Sequence[str],
                   fraction: float | None = None,
                   seed: int | None = None) -> None:
    """Writes down which samples were chosen, one name a line below a line of comment.

    The file appears whole or not at all.

    Args:
        path: The file to write; its folder is made if need be.
        names: The names, as :func:`sample_names` gives them.
        fraction: The fraction, for the comment. Left out by default.
        seed: The seed, for the comment. Left out by default.
    """
    facts = {'fraction': fraction, 'seed': seed, 'count': len(names)}
    header = ', '.join(f'{key} {value}' for key, value in facts.items() if value is not None)
    path = os.fspath(path)
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    tmp = f'{path}.{os.getpid()}.tmp'
    try:
        with open(tmp, 'w', encoding='utf-8') as file:
            file.write('\n'.join([f'# {header}', *names, '']))
        os.replace(tmp, path)
    finally:
        if os.path.exists(tmp):
            os.remove(tmp)


def _floor(number: Fraction) -> int:
    return number.numerator // number.denominator


def _samples(dataset: Any, part: tuple[int, ...] = ()) -> Iterator[tuple[_Key, int | None]]:
    """For each sample what it is sorted by (which also holds its name), and its class if it has exactly one."""
    if isinstance(dataset, ConcatDataset):
        for i, one in enumerate(dataset.datasets):
            yield from _samples(one, (*part, i))
        return
    if not isinstance(dataset, BaseDataset):
        raise ValueError(f'a fraction cannot be taken of a {type(dataset).__name__}: its samples are not its own. Give '
                         'the plain data set, or a ConcatDataset of such')
    folder = _folder(dataset)
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        label = info.get('gt_label')
        if label is not None:
            label = int(label) if np.ndim(label) == 0 else None
        path = info.get('img_path')
        if path is None:
            yield (part, '', i), label
        else:
            path = os.path.relpath(path, folder) if folder and path.startswith(folder) else path
            yield (part, path.replace(os.sep, '/'), i), label


def _folder(dataset: BaseDataset) -> str | None:
    """The folder of the images: names must not depend on where the data lies."""
    folder = dataset.data_prefix.get('img_path') if isinstance(dataset.data_prefix, dict) else None
    return folder or dataset.data_root


def _name(key: _Key) -> str:
    part, path, index = key
    return ''.join(f'{i}:' for i in part) + (path or str(index))
