"""Features that are computed once a phase and read back."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from skd_mm.utils.pytree import tree_leaves, tree_map

from .files import FeatureFiles

# Behind the name of a feature that is kept in less than its own precision.
_SHORT = ' (short)'


class FeatureCache:
    """Keeps features of single samples, in memory up to a limit and in files beyond it.

    A sample is stored with the first batch that holds it. Beyond the limits, or where memory ends before them, nothing
    more is stored, and what is not there is computed each time, so that changes the speed and never the result.

    Args:
        memory: Bytes that may be kept in memory.
        files: Where the rest goes; None keeps nothing beyond ``memory``.
        dtype: What ``float32`` features are kept as, ``torch.bfloat16`` for half the room; as they are by default. By
            how much that rounds them is measured while they are stored, and said in :meth:`summary`.
    """

    def __init__(self, memory: int, files: FeatureFiles | None = None, dtype: torch.dtype | None = None) -> None:
        self.memory = memory
        self.files = files
        self.dtype = dtype
        self.bytes = 0
        self.full = False
        self._samples: dict[Hashable, dict[str, Any]] = {}
        self._inside: list[Hashable] = []
        self._memory_full = False
        self._opened = False
        # Sums of squares: of what rounding took away, and of what was there.
        self._rounded = self._whole = 0.

    def get(self, keys: Sequence[Hashable], device: torch.device | str = 'cpu') -> dict[str, Any] | None:
        """Reads the features of a batch.

        Args:
            keys: One key a sample.
            device: Where they are wanted. Those in memory are kept where they were computed.

        Returns:
            ``[B, ...]``, or lists and tuples of such, by name; None where a sample is missing.
        """
        if self.missing(keys):
            return None
        return self.read(keys, device)

    def missing(self, keys: Sequence[Hashable]) -> list[int]:
        """Return the rows of a batch that are not stored.

        Args:
            keys: One key per sample.

        Returns:
            Positions in ``keys``, ascending.
        """
        self._open()
        return [row for row, key in enumerate(keys) if key not in self._samples]

    def read(self, keys: Sequence[Hashable], device: torch.device | str = 'cpu', rows: Sequence[int] = (),
             features: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Read the features of a batch.

        Args:
            keys: One key per sample, of all ``B`` samples of the batch.
            device: Device of the result.
            rows: Positions in ``keys`` that are taken from ``features``; all others are read from the cache.
            features: ``[len(rows), ...]``, or trees of such, by name; rounded as stored features are.

        Returns:
            ``[B, ...]``, or trees of such, by name.

        Raises:
            KeyError: A row is neither stored nor in ``rows``.
        """
        self._open()
        given: dict[int, dict[str, Any]] = {}
        if len(rows):
            rounded = self._downcast(features or {}, measure=False)
            for i, row in enumerate(rows):
                given[row] = {name: tree_map(lambda part, i=i: part[i], value) for name, value in rounded.items()}
        samples = [given[row] if row in given else self._samples[key] for row, key in enumerate(keys)]
        batch = {}
        for name in samples[0]:
            parts = [sample[name] for sample in samples]
            batch[name] = tree_map(lambda *tensors: _stack([tensor.to(device) for tensor in tensors]), *parts)
        return _upcast(batch)

    def put(self, keys: Sequence[Hashable], features: Mapping[str, Any]) -> dict[str, Any]:
        """Stores the features of a batch.

        Args:
            keys: One key a sample.
            features: ``[B, ...]``, or lists and tuples of such, by name, without a graph.

        Returns:
            The features as they are read back, whether there was room for them or not.
        """
        self._open()
        kept = self._downcast(features)
        new = {key: i for i, key in enumerate(keys) if key not in self._samples}
        for key, i in list(new.items()):
            if self._memory_full:
                break
            try:
                sample = {name: tree_map(lambda feature, i=i: feature[i].detach().clone(), feature)
                          for name, feature in kept.items()}
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._make_room()
                break
            size = sum(tensor.nbytes for tensor in tree_leaves(sample))
            self._memory_full = self.bytes + size > self.memory
            if self._memory_full:
                break
            self._samples[key] = sample
            self._inside.append(key)
            self.bytes += size
            del new[key]
        if new and not self.full:
            self._put_in_files(new, kept)
        return _upcast(kept)

    def remove(self) -> None:
        """Removes the files, if there are any; what is in memory stays."""
        if self.files is not None:
            self.files.remove()

    def _put_in_files(self, rows: Mapping[Hashable, int], features: Mapping[str, Any]) -> None:
        where = torch.tensor(list(rows.values()))
        stored = None if self.files is None else self.files.put(
            list(rows), {name: tree_map(lambda feature: feature.detach()[where.to(feature.device)].cpu(), feature)
                         for name, feature in features.items()})
        if stored is not None:
            self._samples.update(stored)
            return
        self.full = True
        room = f'{self.bytes / 2**30:.2f} GiB'
        if self.files is not None:
            room += f' of memory and {self.files.bytes / 2**30:.2f} GiB of disk'
        print_log(f'the feature cache is full with {len(self._samples)} samples in {room}: the other samples are '
                  'computed each time they are needed', logger='current', level=logging.WARNING)

    def _make_room(self) -> None:
        """Gives a tenth back, as what follows in the step needs memory too, and keeps nothing more in memory."""
        self._memory_full = True
        for late in self._inside[len(self._inside) * 9 // 10:]:
            self.bytes -= sum(tensor.nbytes for tensor in tree_leaves(self._samples.pop(late)))
        print_log(f'there is no more memory for the feature cache than {self.bytes / 2**30:.3f} GiB: it keeps no more '
                  'samples there', logger='current', level=logging.WARNING)

    def summary(self) -> str:
        """What it holds, for the log."""
        features = [name.removesuffix(_SHORT).replace(':', ' ') for name in next(iter(self._samples.values()), ())]
        disk = f' and {self.files.bytes / 2**30:.3f} GiB of disk' if self.files is not None else ''
        rounded = (f', rounded by {(self._rounded / self._whole)**0.5:.2%} of their root mean square'
                   if self._whole else '')
        return (f'{len(self._samples)} samples in {self.bytes / 2**30:.3f} GiB of memory{disk}, of each the '
                f'{", ".join(features)}{rounded}')

    def _open(self) -> None:
        # What features depend on is known when the first ones are asked for, not before: weights may yet be loaded.
        if self.files is not None and not self._opened:
            self._samples.update(self.files.open())
        self._opened = True

    def _downcast(self, features: Mapping[str, Any], measure: bool = True) -> dict[str, Any]:
        if self.dtype is None:
            return dict(features)
        kept = dict(features)
        for name, feature in features.items():
            if all(tensor.dtype == torch.float32 for tensor in tree_leaves(feature)):
                kept[f'{name}{_SHORT}'] = tree_map(
                    lambda tensor: self._short(tensor, measure), kept.pop(name))
        return kept

    def _short(self, feature: Tensor, measure: bool) -> Tensor:
        short = feature.detach().to(self.dtype)
        if not measure:
            return short
        self._rounded += (feature.detach() - short).square().sum(dtype=torch.float64).item()
        self._whole += feature.detach().square().sum(dtype=torch.float64).item()
        return short


def _stack(parts: list[Tensor]) -> Tensor:
    """As ``torch.stack``, which would undo ``channels_last``."""
    if parts[0].dim() == 3 and not parts[0].is_contiguous() and parts[0].permute(1, 2, 0).is_contiguous():
        return torch.stack([part.permute(1, 2, 0) for part in parts]).permute(0, 3, 1, 2)
    return torch.stack(parts)


def _upcast(features: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removesuffix(_SHORT): tree_map(torch.Tensor.float, feature) if name.endswith(_SHORT) else feature
            for name, feature in features.items()}


def _out_of_memory(error: Exception) -> bool:
    # The CPU's allocator has no error of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
