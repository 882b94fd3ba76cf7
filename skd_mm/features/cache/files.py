"""Features in files that are mapped into memory."""

import logging
import os
import pickle
import shutil
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log

from skd_mm.utils import atomic_replace
from skd_mm.utils.pytree import tree_leaves, tree_map

# What is left free on the disk: a run that cannot write its checkpoints is worse than one without a cache.
RESERVE = 2**30


class FeatureFiles:
    """Features of batches in PyTorch's own files, which are mapped into memory when they are read.

    They lie in ``folder/<key>``, one file a batch. A file is written under another name, synced and renamed, so that it
    is whole or not there. What belongs to another key is never read, and removed: the folder is that of one process of
    one run, and holds the features of one phase.

    Args:
        folder: Where; made when it is needed.
        key: Gives what the features depend on, see :func:`skd_mm.features.fingerprint`. Called when the first
            feature is asked for.
        limit: Bytes that the files may have together.
    """

    def __init__(self, folder: str | os.PathLike, key: Callable[[], str], limit: int) -> None:
        self.folder = Path(folder)
        self.key = key
        self.limit = limit
        self.bytes = 0
        self._current: Path | None = None
        self._count = 0

    def open(self) -> dict[Hashable, dict[str, Any]]:
        """Reads what an earlier process of this run has left, and removes what is of no use.

        Returns:
            Features by sample, as :meth:`put` gives them.
        """
        current = self.folder / self.key()
        found: dict[Hashable, dict[str, Any]] = {}
        for other in self.folder.glob('*'):
            if other != current:
                shutil.rmtree(other, ignore_errors=True)
        for file in sorted(current.glob('*')):
            try:
                if file.suffix != '.pt':
                    raise ValueError('unfinished')
                found.update(self._read(file))
                self.bytes += file.stat().st_size
                self._count = int(file.stem) + 1
            except (OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError):
                file.unlink(missing_ok=True)  # or damaged
        self._current = current
        if found:
            print_log(f'{len(found)} samples of the feature cache are read from {current}', logger='current')
        return found

    def put(self, keys: Sequence[Hashable], features: Mapping[str, Any]) -> dict[Hashable, dict[str, Any]] | None:
        """Stores the features of a batch.

        Args:
            keys: One key a sample.
            features: ``[B, ...]`` on the CPU, or lists and tuples of such, by name.

        Returns:
            By sample its features, which are read from the disk when they are used; None where they were not stored:
            beyond the limit, or where the disk is full or cannot be written.
        """
        assert self._current is not None
        size = sum(tensor.nbytes for tensor in tree_leaves(features))
        if self.bytes + size > self.limit:
            return None
        file = self._current / f'{self._count:08d}.pt'
        tmp = file.with_suffix('.tmp')
        try:
            self._current.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._current).free < size + RESERVE:
                raise OSError('the disk is full')
            with open(tmp, 'wb') as stream:
                torch.save(dict(keys=list(keys), features=dict(features)), stream)
            atomic_replace(tmp, file)
            stored = self._read(file)
        except (OSError, RuntimeError, pickle.PickleError) as error:
            print_log(f'the feature cache cannot write to {self._current} ({error}): the run goes on without',
                      logger='current', level=logging.WARNING)
            with suppress(OSError):
                tmp.unlink()
            self.limit = 0
            return None
        self._count += 1
        self.bytes += file.stat().st_size
        return stored

    def remove(self) -> None:
        """Removes all files, and the folder above if nothing else is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    @staticmethod
    def _read(file: Path) -> dict[Hashable, dict[str, Any]]:
        content = torch.load(file, map_location='cpu', mmap=True, weights_only=True)
        return {key: {name: tree_map(lambda feature, i=i: feature[i], feature)
                      for name, feature in content['features'].items()} for i, key in enumerate(content['keys'])}
