"""Features that are computed once per phase and read back."""

import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor

from .copies import Prefetcher, to_device
from .encoding import build_encoding
from .files import DiskBlock, FeatureFiles
from .keys import KeyIndex
from .layout import Block, Layout
from .memory import DeviceTier, HostTier
from .out_of_memory import is_out_of_memory


class _Ahead(NamedTuple):
    """Samples that are copied ahead: for each of these slots one of the copy."""

    slots: list[int]
    device: torch.device
    copy: Future


class FeatureCache:
    """Cache of the features of single samples, in three tiers.

    A sample is stored with the first batch that contains it: on the device, then in pinned memory of the host, then in
    files, as far as the limit of each permits. Samples that fit nowhere are computed each time, which affects the
    speed and never the result.

    On an accelerator nothing here waits for the device, with two exceptions: :meth:`put` if the disk is slower than
    the training, and :meth:`summary`.

    Args:
        memory: Bytes on the device.
        files: Features on disk; None (the default) stores none there.
        dtype: Name of the encoding: ``'bfloat16'`` stores ``float32`` features in half the memory. None (the default)
            stores them as they are. The rounding error is part of :meth:`summary`.
        host: Bytes in pinned memory of the host. Defaults to 0.

    Raises:
        ValueError: There is no such encoding.

    Example:
        >>> rows = cache.missing(keys)
        >>> features = compute(rows) if rows else None
        >>> if rows:
        ...     cache.put([keys[row] for row in rows], features)
        >>> batch = cache.read(keys, device, rows, features)
    """

    def __init__(self, memory: int, files: FeatureFiles | None = None, dtype: str | torch.dtype | None = None,
                 host: int = 0) -> None:
        self.encoding = build_encoding(dtype)
        self.dtype = None if self.encoding.exact else dtype
        self.files = files
        self.full = False
        self._device = DeviceTier(memory)
        self._host = HostTier(host)
        self._prefetcher = Prefetcher()
        # Of the batch that is trained next, and of the one after it.
        self._ahead: deque[_Ahead] = deque(maxlen=2)
        self._opened = False
        # A slot per stored sample, numbered through all blocks. Blocks that are given back leave None.
        self._index = KeyIndex()
        self._blocks: list[Block | None] = []
        self._starts: list[int] = []
        self._slots = 0
        self._layouts: dict[str, Layout] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> 'FeatureCache':
        # A copy of the model, for EMA say, shares the cache.
        return self

    def __len__(self) -> int:
        return sum(len(block) for block in self._blocks if block is not None)

    @property
    def bytes(self) -> int:
        """Bytes on the device."""
        return self._device.bytes

    def missing(self, keys: Sequence[Hashable]) -> list[int]:
        """Return the rows of a batch that are not stored.

        Args:
            keys: One key per sample.

        Returns:
            Positions in ``keys``, ascending.
        """
        self._open()
        return [row for row, key in enumerate(keys) if self._find(self._index.get(key)) is None]

    def put(self, keys: Sequence[Hashable], features: Mapping[str, Any]) -> dict[str, Any]:
        """Store the features of samples, as far as there is room; those that are stored already stay.

        Args:
            keys: One key per sample.
            features: ``[n, ...]``, or trees of such, by name.

        Returns:
            The features as they are read back, whether they were stored or not.
        """
        self._open()
        encoded, names = self._encode(features, observe=True)
        rows = self._new_rows(keys)
        if rows and not self.full:
            layout = self._layout(encoded, names)
            tensors = layout.split(encoded)
            rows = self._put_on_device(keys, rows, layout, tensors)
            rows = self._put_on_host(keys, rows, layout, tensors)
            rows = self._put_in_files(keys, rows, layout, tensors)
            if rows:
                self._report_full()
        return self._decode(encoded, names)

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
            RuntimeError: The features of two rows have different names, shapes or data types.
        """
        self._open()
        device = torch.device(device)
        sources: list[tuple[Block, int]] = []
        slots = []
        given = self._given(rows, features)
        for row, key in enumerate(keys):
            slots.append(-1 if row in given else self._index.get(key))
            found = given.get(row) or self._find(slots[-1])
            if found is None:
                raise KeyError(f'the sample {key!r} is not in the feature cache')
            sources.append(found)
        layout = sources[0][0].layout
        if any(block.layout.key != layout.key for block, _ in sources):
            raise RuntimeError('the samples of a batch have different features in the cache')
        return self._decode(layout.join(self._collect(sources, slots, device)), layout.encoded)

    def get(self, keys: Sequence[Hashable], device: torch.device | str = 'cpu') -> dict[str, Any] | None:
        """Read the features of a batch if all of its samples are stored.

        Args:
            keys: One key per sample.
            device: Device of the result.

        Returns:
            ``[B, ...]``, or trees of such, by name; None if a sample is missing.
        """
        if self.missing(keys):
            return None
        return self.read(keys, device)

    def prefetch(self, keys: Sequence[Hashable], device: torch.device | str) -> None:
        """Begin to copy those samples of a batch to the device that are not there, in a thread.

        :meth:`read` uses the copy for that batch. The copies of two batches are kept: a loader announces a batch before
        the one before it is read.

        Args:
            keys: One key per sample; samples that are not stored are ignored.
            device: Device on which they will be read.
        """
        self._open()
        sources, slots = [], []
        for key in keys:
            slot = self._index.get(key)
            found = self._find(slot)
            if found is not None and found[0].tier != DeviceTier.name:
                sources.append(found)
                slots.append(slot)
        if sources and len({block.layout.key for block, _ in sources}) == 1:
            device = torch.device(device)
            self._ahead.append(_Ahead(slots, device, self._prefetcher.start(sources, device)))

    def release(self, share: float = 1.0) -> int:
        """Give memory of the device back, and store nothing more there.

        The samples that were stored last are computed again when they are needed, or move to the other tiers then.

        Args:
            share: How much of the memory in use, in (0, 1]. Defaults to 1.

        Returns:
            The bytes that were given back; 0 if there was nothing on the device.
        """
        before = self.bytes
        self._ahead.clear()
        for number in reversed(range(len(self._blocks))):
            if self.bytes <= before * (1 - share):
                break
            block = self._blocks[number]
            if block is not None and block.tier == DeviceTier.name:
                self._blocks[number] = None
                self._device.bytes -= block.nbytes
        self._device.limit = 0
        print_log(f'the feature cache has given back {(before - self.bytes) / 2**30:.3f} GiB of the device; it keeps '
                  f'{self.bytes / 2**30:.3f} GiB and stores no more samples there', logger='current',
                  level=logging.WARNING)
        return before - self.bytes

    def summary(self) -> str:
        """Return what the cache contains, for the log; waits for the device and the disk."""
        memory = f'{self.bytes / 2**30:.3f} GiB of memory'
        if self._host.bytes:
            memory += f', {self._host.bytes / 2**30:.3f} GiB of the host'
        if self.files is not None:
            self.files.flush()
            memory += f' and {self.files.bytes / 2**30:.3f} GiB of disk'
        layouts = list(self._layouts.values())
        names = [name.replace(':', ' ') for name in (layouts[0].names if layouts else [])]
        error = self.encoding.summary()
        return f'{len(self)} samples in {memory}; of each the {", ".join(names)}' + (f', {error}' if error else '')

    def close(self) -> None:
        """End the threads; what is to be written to the disk is written."""
        self._ahead.clear()
        self._prefetcher.close()
        if self.files is not None:
            self.files.close()

    def remove(self) -> None:
        """Remove the files, if there are any; what is in memory stays."""
        self.close()
        if self.files is not None:
            self.files.remove()

    def _open(self) -> None:
        # What features depend on is known when the first ones are needed, not earlier: weights may yet be loaded.
        if self._opened:
            return
        self._opened = True
        for keys, block in self.files.open() if self.files is not None else ():
            self._layouts.setdefault(block.layout.key, block.layout)
            self._add(keys, block)

    def _find(self, slot: int) -> tuple[Block, int] | None:
        """Return the block of a slot and the position in it; None if it was given back or lost."""
        if slot < 0:
            return None
        number = bisect_right(self._starts, slot) - 1
        block = self._blocks[number]
        if isinstance(block, DiskBlock) and not block.is_intact():
            self._blocks[number] = block = None
        return None if block is None else (block, slot - self._starts[number])

    def _add(self, keys: Sequence[Hashable], block: Block) -> None:
        self._blocks.append(block)
        self._starts.append(self._slots)
        for key in keys:
            self._index.set(key, self._slots)
            self._slots += 1

    def _new_rows(self, keys: Sequence[Hashable]) -> list[int]:
        """Return the first row of each sample that is not stored."""
        seen: set[Hashable] = set()
        rows = []
        for row in self.missing(keys):
            if keys[row] not in seen:
                seen.add(keys[row])
                rows.append(row)
        return rows

    def _layout(self, encoded: Mapping[str, Any], names: Sequence[str]) -> Layout:
        layout = Layout(encoded, names)
        return self._layouts.setdefault(layout.key, layout)

    def _put_on_device(self, keys: Sequence[Hashable], rows: list[int], layout: Layout,
                       tensors: list[Tensor]) -> list[int]:
        return self._put_in_memory(self._device, keys, rows, layout, tensors)

    def _put_on_host(self, keys: Sequence[Hashable], rows: list[int], layout: Layout,
                     tensors: list[Tensor]) -> list[int]:
        return self._put_in_memory(self._host, keys, rows, layout, tensors)

    def _put_in_memory(self, tier: DeviceTier, keys: Sequence[Hashable], rows: list[int], layout: Layout,
                       tensors: list[Tensor]) -> list[int]:
        """Store the rows for which there is room; return the others."""
        part = rows[:tier.room(layout)]
        if not part:
            return rows
        try:
            block = tier.put(len(part), layout, [_rows(tensor, part) for tensor in tensors])
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            block = None
        if block is None:
            if tier is self._device:
                self.release(0.1)  # the rest of the step needs memory, too
            tier.limit = 0
            return rows
        self._add([keys[row] for row in part], block)
        return rows[len(part):]

    def _put_in_files(self, keys: Sequence[Hashable], rows: list[int], layout: Layout,
                      tensors: list[Tensor]) -> list[int]:
        part = rows[:self.files.room(layout)] if self.files is not None else []
        if not part or self.files is None:
            return rows
        part_keys = [keys[row] for row in part]
        block = self.files.put(part_keys, layout, [_rows(tensor, part) for tensor in tensors])
        if block is None:
            return rows
        self._add(part_keys, block)
        return rows[len(part):]

    def _report_full(self) -> None:
        self.full = True
        print_log(f'the feature cache is full with {len(self)} samples: the other samples are computed each time they '
                  'are needed', logger='current', level=logging.WARNING)

    def _given(self, rows: Sequence[int], features: Mapping[str, Any] | None) -> dict[int, tuple[Block, int]]:
        """Return features that were just computed as if they were stored."""
        if not len(rows):
            return {}
        encoded, names = self._encode(features or {}, observe=False)
        layout = self._layout(encoded, names)
        block = Block(layout, layout.split(encoded), len(rows), 'computed')
        return {row: (block, i) for i, row in enumerate(rows)}

    def _collect(self, sources: list[tuple[Block, int]], slots: list[int], device: torch.device) -> list[Tensor]:
        """Return the samples of a batch, for each leaf ``[B, *leaf.shape]``."""
        first = sources[0][0]
        if first.tier == 'computed' and sources == [(first, row) for row in range(len(first))] \
                and all(tensor.device == device for tensor in first.tensors):
            return first.tensors
        for ahead in list(self._ahead):
            if ahead.device != device or set(ahead.slots).isdisjoint(slots):
                continue
            self._ahead.remove(ahead)
            block = Block(first.layout, self._prefetcher.finish(ahead.copy), len(ahead.slots), DeviceTier.name)
            if ahead.slots == slots:
                return block.tensors
            copied = {slot: (block, row) for row, slot in enumerate(ahead.slots)}
            sources = [copied.get(slot, source) for slot, source in zip(slots, sources, strict=True)]
            break
        return to_device(sources, device)

    def _encode(self, features: Mapping[str, Any], observe: bool) -> tuple[dict[str, Any], list[str]]:
        """Encode features; return them and the names of those to which the encoding applies."""
        encoded, names = dict(features), []
        with torch.no_grad():
            for name, feature in features.items():
                if self.encoding.applies(feature):
                    names.append(name)
                    encoded[name] = self.encoding.encode(feature)
                    if observe:
                        self.encoding.observe(feature, encoded[name])
        return encoded, names

    def _decode(self, features: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        return {name: self.encoding.decode(feature) if name in names else feature
                for name, feature in features.items()}


def _rows(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    """Return rows of a tensor, without an index that would have to be copied to its device."""
    first, last = rows[0], rows[-1]
    if last - first + 1 == len(rows):
        return tensor[first:last + 1]
    return torch.stack([tensor[row] for row in rows])
