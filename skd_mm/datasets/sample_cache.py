"""Samples that are read once."""

import logging
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from typing import Any

from mmengine.logging import print_log
from torch import Tensor

from skd_mm.utils import INDEX, VIEW
from skd_mm.utils.pytree import tree_leaves, tree_map


class SampleCache:
    """Samples, or whole batches, as a data loader gave them, in memory.

    Where they need more than the limit all of them are given up, as what is read in part has to be loaded anyway.

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
        """Keep a copy, unless there is one.

        Args:
            key: What it is asked for by.
            sample: Tensors and data samples in dicts and lists.
        """
        if not self.limit or key in self:
            return
        # What a worker process gives lies in memory that it shares, of which there are not so many pieces.
        copy = tree_map(Tensor.clone, sample)
        self.bytes += sum(tensor.nbytes for tensor in tree_leaves(copy))
        if self.bytes > self.limit:
            self.give_up(f'they take more than schedule.cache.images={self.limit / 2**30:g} GiB')
            return
        self._samples[key] = copy
        self._versions[key] = [tensor._version for tensor in tree_leaves(copy)]

    def give_up(self, why: str) -> None:
        """Keep nothing any more.

        Args:
            why: For the log.
        """
        print_log(f'images are read from their files in every epoch: {why}', logger='current', level=logging.INFO)
        self.limit = self.bytes = 0
        self._samples.clear()
        self._versions.clear()

    def get(self, key: Hashable) -> Any:
        """Hand out what is kept.

        Args:
            key: See :meth:`keep`.

        Returns:
            Dicts, lists and data samples of its own, with the tensors that are kept.

        Raises:
            RuntimeError: Whoever had them last has changed them in place.
        """
        sample = self._samples[key]
        if [tensor._version for tensor in tree_leaves(sample)] != self._versions[key]:
            raise RuntimeError('an image that was read once has been changed in place, by the data preprocessor or a '
                               'hook; set `schedule.cache.images=0`')
        return tree_map(lambda tensor: tensor, sample)


class _AroundLoader:
    """Stands for a data loader and gives its batches."""

    def __init__(self, loader: Any, kept: SampleCache) -> None:
        self.loader = loader
        self.kept = kept

    def __getattr__(self, name: str) -> Any:
        if name == 'loader':  # of a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)


class PhaseLoader(_AroundLoader):
    """The training data of a phase: once all of its samples are kept, no worker loads any.

    Args:
        loader: A data loader over a :class:`SeededDataset`, with a :class:`PhaseSampler`.
        kept: What has been read, in this phase or before.
    """

    def __iter__(self) -> Iterator[Any]:
        sampler = self.loader.sampler
        keys = iter(sampler)
        batches, position, whole = None, sampler.start, False
        while True:
            batch_keys = [(index, *view) for index, _, *view in islice(keys, sampler.batch_size)]
            # Once they are all there, they are until all of them are given up.
            if whole or batches is None or position % sampler.batches == 0:
                whole = all(key in self.kept for key in (batch_keys if whole else sampler.samples()))
            if whole:
                batches = None  # and with it the workers
                batch = self.loader.collate_fn([self.kept.get(key) for key in batch_keys])
            else:
                if batches is None:
                    sampler.start = position  # a validation may have needed the room
                    batches = iter(self.loader)
                batch = next(batches)
                self._keep(batch)
            position += 1
            yield batch

    def _keep(self, batch: Any) -> None:
        samples = batch.get('data_samples') if isinstance(batch, dict) else None
        if not samples or not all(isinstance(value, Sequence | Tensor) and len(value) == len(samples)
                                  and INDEX in samples[0].metainfo for value in batch.values()):
            self.kept.give_up('a batch is not one entry a sample')
            return
        for i, sample in enumerate(samples):
            view = sample.metainfo.get(VIEW)
            key = (sample.metainfo[INDEX], ) if view is None else (sample.metainfo[INDEX], view)
            self.kept.keep(key, {name: value[i] for name, value in batch.items()})


class ValidationLoader(_AroundLoader):
    """The data of a validation, whose batches are the same each time.

    Args:
        loader: A data loader that does not shuffle.
        kept: What has been read before.
    """

    def __iter__(self) -> Iterator[Any]:
        if all((ValidationLoader, i) in self.kept for i in range(len(self))):
            yield from (self.kept.get((ValidationLoader, i)) for i in range(len(self)))
            return
        for i, batch in enumerate(self.loader):
            self.kept.keep((ValidationLoader, i), batch)
            yield batch
