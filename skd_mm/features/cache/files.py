"""Features in files that are mapped into memory."""

import json
import logging
import mmap
import os
import pickle
import shutil
import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor

from .copies import recorded_event
from .layout import Block, Layout

# Bytes that stay free on the disk: a run that cannot write its checkpoints is worse than one without a cache.
RESERVE = 2**30
# Bytes per file. A process may map 65,530 files, so that one file per batch would not do.
SHARD = 2**28
_ALIGNMENT = 64
# Batches that wait to be written, in pinned memory.
_QUEUE = 4


class DiskBlock(Block):
    """Features on disk; in memory as long as they are not written.

    Attributes:
        place: Number of the file and offset there.
        checksum: To be compared before the first reading; None if this process wrote the features.
        lost: Whether they could not be written. They can be read as long as anything refers to them.
    """

    def __init__(self, layout: Layout, tensors: list[Tensor], count: int, place: tuple[int, int],
                 checksum: int | None = None) -> None:
        super().__init__(layout, tensors, count, 'disk')
        self.place = place
        self.checksum = checksum
        self.lost = False

    def is_intact(self) -> bool:
        """Return whether the features are those that were put in; reads them once if another process wrote them."""
        if self.checksum is not None and _checksum(self.tensors) != self.checksum:
            self.lost = True
        self.checksum = None
        return not self.lost


class FeatureFiles:
    """Features in files of a fixed size, each of which is mapped into memory once.

    They are in ``folder/<key>``, which belongs to one process of one run and holds the features of one phase. A thread
    writes them, without ``fsync``: a crash of the machine may lose features, but never gives wrong ones. A journal
    lists, one line per batch, which samples are where, after they were written; each line, and the features that it
    lists, have a checksum. Features of another key are removed unread.

    Args:
        folder: The folder; created when it is needed.
        key: Returns the hash of everything that the features depend on, see :func:`skd_mm.features.fingerprint`. Called
            when the first feature is looked up.
        limit: Bytes that may be stored.
    """

    name = 'disk'

    def __init__(self, folder: str | os.PathLike, key: Callable[[], str], limit: int) -> None:
        self.folder = Path(folder)
        self.key = key
        self.limit = limit
        self.bytes = 0
        self.failed = False
        self._current: Path | None = None
        self._shards: dict[int, Tensor] = {}
        self._end = (-1, 0)
        self._layouts: dict[str, int] = {}
        self._writer: ThreadPoolExecutor | None = None
        self._writing: list[Future] = []

    def open(self) -> Iterator[tuple[list[Hashable], DiskBlock]]:
        """Read what an earlier process of this run has stored, and remove everything else.

        Yields:
            Keys of samples and their features, in the order in which they were stored.
        """
        current = self._current = self.folder / self.key()
        for other in self.folder.glob('*'):
            if other != current:
                shutil.rmtree(other, ignore_errors=True)
        layouts = self._load_layouts()
        count = 0
        for line in self._journal():
            try:
                keys = [_hashable(key) for key in line['keys']]
                layout, shard, offset = layouts[line['layout']], line['shard'], line['offset']
                size = _size(layout, len(keys))
                views = self._views(layout, len(keys), shard, offset)
                block = DiskBlock(layout, views, len(keys), (shard, offset), line['checksum'])
            except (KeyError, OSError, TypeError, ValueError):
                continue
            self.bytes += size
            self._end = max(self._end, (shard, offset + size))
            count += len(keys)
            yield keys, block
        if count:
            print_log(f'the feature cache reuses {count} samples from {current}', logger='current')

    def room(self, layout: Layout) -> int:
        """Return how many more samples may be stored.

        Args:
            layout: Their layout.
        """
        if self.failed:
            return 0
        return max(0, self.limit - self.bytes) // max(1, layout.nbytes)

    def put(self, keys: Sequence[Hashable], layout: Layout, tensors: list[Tensor]) -> DiskBlock | None:
        """Store samples for which there is room.

        Args:
            keys: One key per sample; strings, numbers, None or tuples of these.
            layout: Their layout.
            tensors: For each leaf ``[N, *leaf.shape]``.

        Returns:
            The features, which a thread writes to the disk; None if the disk is full or cannot be written.
        """
        assert self._current is not None
        size = _size(layout, len(keys))
        try:
            self._current.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._current).free < size + RESERVE:
                raise OSError('the disk is full')
            number = self._number(layout)
            shard, offset = self._allocate(size)
        except (OSError, pickle.PickleError) as error:
            self._fail(error)
            return None
        self.bytes += size
        staged = [tensor.contiguous().to('cpu', non_blocking=True, copy=True) for tensor in tensors]
        block = DiskBlock(layout, staged, len(keys), (shard, offset))
        line = dict(layout=number, shard=shard, offset=offset, keys=list(keys))
        self._wait(_QUEUE - 1)
        if self._writer is None:
            self._writer = ThreadPoolExecutor(1, 'feature-files')
        self._writing.append(self._writer.submit(self._write, block, line, _event(tensors)))
        return block

    def flush(self) -> None:
        """Wait until everything is written."""
        self._wait(0)

    def remove(self) -> None:
        """Remove all files, and the parent folder if nothing else is in it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def close(self) -> None:
        """Write what is left and end the thread; features can still be read."""
        self._wait(0)
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    def _wait(self, count: int) -> None:
        """Wait until no more than ``count`` batches are to be written."""
        while len(self._writing) > count:
            self._writing.pop(0).result()

    def _write(self, block: DiskBlock, line: dict[str, Any], event: Any) -> None:
        """Write features, then their line in the journal; runs in the thread."""
        assert self._current is not None
        try:
            if self.failed:
                raise OSError('an earlier write failed')
            if event is not None:
                event.synchronize()
            line['checksum'] = _checksum(block.tensors)
            shard, offset = block.place
            with open(self._shard_file(shard), 'r+b', buffering=0) as file:
                for tensor in block.tensors:
                    _write_all(file, memoryview(_bytes(tensor)), offset)
                    offset += _aligned(tensor.nbytes)
            with suppress(TypeError):  # keys that JSON does not have: the features are read by this process alone
                text = json.dumps(line).encode()
                with open(self._current / 'journal', 'ab', buffering=0) as file:
                    file.write(b'%08x %b\n' % (zlib.crc32(text), text))
            block.tensors = self._views(block.layout, len(block), *block.place)
        except OSError as error:
            block.lost = True
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self.failed:
            print_log(f'the feature cache cannot write to {self._current} ({error}): it stores nothing more there',
                      logger='current', level=logging.WARNING)
        self.failed = True

    def _shard_file(self, number: int) -> Path:
        assert self._current is not None
        return self._current / f'{number:08d}.bin'

    def _allocate(self, size: int) -> tuple[int, int]:
        """Return the file and the offset for so many bytes; creates the file if necessary."""
        shard, offset = self._end
        if shard < 0 or offset + size > len(self._shard(shard)):
            shard, offset = shard + 1, 0
            with open(self._shard_file(shard), 'wb') as file:
                file.truncate(max(size, min(SHARD, self.limit)))
            self._shards.pop(shard, None)
            self._shard(shard)
        self._end = shard, offset + size
        return shard, offset

    def _shard(self, number: int) -> Tensor:
        """Return the bytes of a file, which is mapped into memory."""
        if number not in self._shards:
            with open(self._shard_file(number), 'r+b') as file:
                self._shards[number] = torch.frombuffer(mmap.mmap(file.fileno(), 0), dtype=torch.uint8)
        return self._shards[number]

    def _views(self, layout: Layout, count: int, shard: int, offset: int) -> list[Tensor]:
        """Return the features of ``count`` samples that begin at an offset of a file."""
        data = self._shard(shard)
        if offset + _size(layout, count) > len(data):
            raise ValueError(f'{self._shard_file(shard)} is too short')
        tensors = []
        for leaf in layout.leaves:
            size = count * leaf.nbytes
            tensors.append(data[offset:offset + size].view(leaf.dtype).view(count, *leaf.shape))
            offset += _aligned(size)
        return tensors

    def _number(self, layout: Layout) -> int:
        """Return the number of a layout, which a file describes."""
        assert self._current is not None
        if layout.key not in self._layouts:
            number = max(self._layouts.values(), default=-1) + 1
            file = self._current / f'layout{number}.pt'
            torch.save(layout.state_dict(), file.with_suffix('.tmp'))
            os.replace(file.with_suffix('.tmp'), file)
            self._layouts[layout.key] = number
        return self._layouts[layout.key]

    def _load_layouts(self) -> dict[int, Layout]:
        assert self._current is not None
        layouts = {}
        for file in self._current.glob('layout*.pt'):
            number = int(file.stem.removeprefix('layout'))
            self._layouts[file.name] = number  # taken, even if the file cannot be read
            with suppress(OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError):
                layouts[number] = Layout.load(torch.load(file, map_location='cpu', weights_only=True))
                self._layouts[layouts[number].key] = number
        return layouts

    def _journal(self) -> Iterator[dict[str, Any]]:
        """Read the lines of the journal that are complete."""
        assert self._current is not None
        file = self._current / 'journal'
        if not file.exists():
            return
        content = file.read_bytes()
        if content and not content.endswith(b'\n'):
            with open(file, 'ab') as stream:  # the next line must not continue one that is incomplete
                stream.write(b'\n')
        for line in content.splitlines():
            checksum, _, text = line.partition(b' ')
            with suppress(ValueError):
                if int(checksum, 16) == zlib.crc32(text):
                    yield json.loads(text)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _size(layout: Layout, count: int) -> int:
    """Return the bytes that so many samples take in a file."""
    return sum(_aligned(count * leaf.nbytes) for leaf in layout.leaves)


def _event(tensors: Sequence[Tensor]) -> Any:
    return recorded_event(tensors[0].device) if tensors else None


def _bytes(tensor: Tensor) -> Any:
    return tensor.reshape(-1).view(torch.uint8).numpy()


def _checksum(tensors: Sequence[Tensor]) -> int:
    checksum = 0
    for tensor in tensors:
        checksum = zlib.crc32(_bytes(tensor), checksum)
    return checksum


def _write_all(file: Any, data: memoryview, offset: int) -> None:
    while len(data):
        count = os.pwrite(file.fileno(), data, offset)
        data, offset = data[count:], offset + count


def _hashable(key: Any) -> Hashable:
    """Return a key as it was before it was written as JSON, which has no tuples."""
    return tuple(map(_hashable, key)) if isinstance(key, list) else key
