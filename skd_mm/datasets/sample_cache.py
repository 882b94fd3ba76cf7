"""Samples that are read once."""

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

from skd_mm.utils import INDEX, VIEW
from skd_mm.utils.pytree import tree_leaves, tree_map


class SampleCache:
    """Cache in memory of samples, or whole batches, as a data loader gave them.

    If they need more than the limit, all of them are given up: a loader that must read some files reads all of them in
    about the same time.

    Args:
        limit: Bytes that all of them may take together.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0
        self._samples: dict[Hashable, Any] = {}
        self._versions: dict[Hashable, list[int]] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._samples

    def keep(self, key: Hashable, sample: Any) -> None:
        """Store a copy, unless there is one.

        Args:
            key: Key of the sample.
            sample: Tensors and data samples in dicts and lists.
        """
        if not self.limit or key in self:
            return
        # The tensors of a worker process are in shared memory, of which there is a limited number of pieces.
        copy = tree_map(Tensor.clone, sample)
        self.bytes += sum(tensor.nbytes for tensor in tree_leaves(copy))
        if self.bytes > self.limit:
            self.give_up(f'they take more than schedule.cache.images={self.limit / 2**30:g} GiB')
            return
        self._samples[key] = copy
        self._versions[key] = [tensor._version for tensor in tree_leaves(copy)]

    def give_up(self, reason: str) -> None:
        """Remove all samples, and store no more.

        Args:
            reason: For the log.
        """
        print_log(f'images are read from their files in every epoch: {reason}', logger='current', level=logging.INFO)
        self.limit = self.bytes = 0
        self._samples.clear()
        self._versions.clear()

    def get(self, key: Hashable) -> Any:
        """Return a sample that is stored.

        Args:
            key: See :meth:`keep`.

        Returns:
            New dicts, lists and data samples, with the tensors that are stored.

        Raises:
            RuntimeError: An earlier receiver has changed them in place.
        """
        sample = self._samples[key]
        if [tensor._version for tensor in tree_leaves(sample)] != self._versions[key]:
            raise RuntimeError('an image that was read once has been changed in place, by the data preprocessor or a '
                               'hook; set `schedule.cache.images=0`')
        return tree_map(lambda tensor: tensor, sample)


class _LoaderWrapper:
    """Data loader with the attributes of another one."""

    def __init__(self, loader: Any, cache: SampleCache) -> None:
        self.loader = loader
        self.cache = cache

    def __getattr__(self, name: str) -> Any:
        if name == 'loader':  # which a copy lacks at first
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)


class PhaseLoader(_LoaderWrapper):
    """Training data of a phase; as soon as all samples are cached, no worker loads any.

    Args:
        loader: A data loader over a :class:`SeededDataset`, with a :class:`PhaseSampler`.
        cache: Samples that were read, in this phase or earlier.
        announce: Called before each batch with the samples of the next one, ``(index, )`` or ``(index, view)`` each,
            so that their features can be read ahead. Defaults to None.
    """

    def __init__(self, loader: Any, cache: SampleCache,
                 announce: Callable[[list[tuple[int, ...]]], None] | None = None) -> None:
        super().__init__(loader, cache)
        self.announce = announce

    def __iter__(self) -> Iterator[Any]:
        sampler = self.loader.sampler
        position = sampler.start
        batches: Iterator[Any] | None = None
        complete = False
        upcoming = self._upcoming()
        following = next(upcoming)
        while True:
            keys, following = following, next(upcoming)
            # Once all samples are cached they remain so until all of them are given up.
            if complete or batches is None or position % sampler.batches == 0:
                complete = all(key in self.cache for key in (keys if complete else sampler.samples()))
            if complete:
                batches = None  # which ends the workers
                batch = self.loader.collate_fn([self.cache.get(key) for key in keys])
            else:
                if batches is None:
                    sampler.start = position  # a validation may have needed the memory
                    batches = iter(self.loader)
                batch = next(batches)
                self._keep(batch)
            position += 1
            if self.announce is not None:
                self.announce(following)
            yield batch

    def _upcoming(self) -> Iterator[list[tuple[int, ...]]]:
        """Iterate over the samples of each batch."""
        sampler = self.loader.sampler
        keys = iter(sampler)
        while True:
            yield [(index, *view) for index, _, *view in islice(keys, sampler.batch_size)]

    def _keep(self, batch: Any) -> None:
        samples = batch.get('data_samples') if isinstance(batch, dict) else None
        if not samples or not all(isinstance(value, Sequence | Tensor) and len(value) == len(samples)
                                  and INDEX in samples[0].metainfo for value in batch.values()):
            self.cache.give_up('a batch does not have one entry per sample')
            return
        for i, sample in enumerate(samples):
            view = sample.metainfo.get(VIEW)
            key = (sample.metainfo[INDEX], ) if view is None else (sample.metainfo[INDEX], view)
            self.cache.keep(key, {name: value[i] for name, value in batch.items()})


class ValidationLoader(_LoaderWrapper):
    """Data of a validation, whose batches are the same each time.

    Args:
        loader: A data loader that does not shuffle.
        cache: Batches that were read earlier.
    """

    def __iter__(self) -> Iterator[Any]:
        if all((ValidationLoader, i) in self.cache for i in range(len(self))):
            yield from (self.cache.get((ValidationLoader, i)) for i in range(len(self)))
            return
        for i, batch in enumerate(self.loader):
            self.cache.keep((ValidationLoader, i), batch)
            yield batch
