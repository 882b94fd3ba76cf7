"""Training samples whose order and augmentation depend only on their position in the run."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset, Sampler

from skd_mm.utils import INDEX, VALIDATION_INDEX, VIEW, derive_seed, plain_datasets, seed_everything

Key = tuple[int, ...]

# Transforms that give the same image each time. Any other transform may be random.
_DETERMINISTIC = {
    'LoadImageFromFile', 'LoadAnnotations', 'LoadImageFromNDArray', 'Resize', 'Pad', 'Normalize', 'CenterCrop',
    'ResizeEdge', 'ResizeMask', 'PackSegInputs', 'PackInputs', 'PackClsInputs', 'PackDetInputs', 'ImageToTensor',
    'ToTensor', 'GenerateEdge'
}


class DataError(RuntimeError):
    """A sample cannot be read, or one of its transforms fails."""


class NamedDataset(Dataset):
    """Data set that numbers its samples and names the one that cannot be read.

    Each data sample carries its index as the meta information :attr:`index_name`. All other attributes are those of
    the wrapped data set, since hooks look at its classes and labels.

    Args:
        dataset: The data set.
        kind: What its samples are called in messages. Defaults to ``'validation'``.

    Raises:
        DataError: From ``[]``, if a sample cannot be read; the message names its file.
    """

    index_name = VALIDATION_INDEX

    def __init__(self, dataset: Any, kind: str = 'validation') -> None:
        self.dataset = dataset
        self.kind = kind

    def __getattr__(self, name: str) -> Any:
        # Names that Python and PyTorch look up are never forwarded, nor is `dataset`, which a copy lacks at first.
        if name == 'dataset' or name.startswith('_'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def metainfo(self) -> Any:
        """Classes, palette and the like of the wrapped data set."""
        return getattr(self.dataset, 'metainfo', {})

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        try:
            sample = self.dataset[index]
        except Exception as error:
            raise DataError(f'{self.kind} sample {index}{self._file(index)} cannot be read: {type(error).__name__}: '
                            f'{error}') from error
        if isinstance(sample, dict) and isinstance(sample.get('data_samples'), BaseDataElement):
            sample['data_samples'].set_metainfo({self.index_name: index})
        return sample

    def _file(self, index: int) -> str:
        """Return the file of a sample, for messages."""
        try:
            return f' ({self.dataset.get_data_info(index)["img_path"]})'
        except (AttributeError, KeyError):
            return ''


class SeededDataset(NamedDataset):
    """Data set that seeds the random generators for every sample.

    A loader that starts in the middle of an epoch then gives the same images as one that ran from the start of it,
    whatever the number of workers is. Each data sample carries its index as ``skd_mm_index``, and the number of its
    view as ``skd_mm_view`` if there are several.

    Args:
        dataset: The data set; its pipeline may use the global generators of Python, NumPy and PyTorch.

    Raises:
        DataError: From ``[]``, if a sample cannot be read; the message names its file.
    """

    index_name = INDEX

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset, 'training')

    def __getitem__(self, key: Key) -> Any:  # type: ignore[override]
        index, seed, *view = key
        seed_everything(seed)
        sample = super().__getitem__(int(index))
        if view and isinstance(sample, dict) and 'data_samples' in sample:
            sample['data_samples'].set_metainfo({VIEW: view[0]})
        return sample


def slot_groups(indices: Sequence[int] | np.ndarray, slots: int, seed: int, phase: int) -> list[np.ndarray]:
    """Deal the samples of a phase out to the slots of a batch.

    A sample belongs to one slot for the whole phase. If the number of samples is a multiple of ``slots``, it is the
    same slot in all phases; if not, the remaining samples, fewer than ``slots``, move to other slots in each phase.

    Args:
        indices: Indices of the samples, ``[N]``.
        slots: Samples per batch, over all processes.
        seed: Seed of the run.
        phase: Number of the phase.

    Returns:
        For each slot the indices of its samples: ``floor(N / slots)`` of them, or one more.
    """
    order = np.random.RandomState(derive_seed(seed, 'slots')).permutation(indices)
    whole = len(order) - len(order) % slots
    groups = list(order[:whole].reshape(-1, slots).T)
    chosen = np.random.RandomState(derive_seed(seed, 'slots', phase)).permutation(slots)
    for slot, index in zip(chosen, order[whole:], strict=False):
        groups[slot] = np.append(groups[slot], index)
    return groups


class PhaseSampler(Sampler[Key]):
    """Samples of one phase, epoch after epoch without an end.

    An epoch has ``floor(N / global batch)`` batches. Each slot of the global batch has a group of samples of its own
    (see :func:`slot_groups`) and draws them in a new random order in each epoch. Each process has consecutive slots.
    This gives two guarantees at once, which a permutation of all samples cannot give:

    - A sample belongs to one process for the whole phase, so its features are cached there and nowhere else.
    - The global batch of an iteration, and the order of samples in it, do not depend on the number of processes: two
      processes with half the batch each see what one process sees.

    Samples of one slot never meet in a batch. If N is no multiple of the global batch, an epoch omits some samples of
    the larger groups, others in each epoch.

    Each batch can have a fixed number of samples of a second kind, evenly spread over its slots. An epoch then has
    ``floor(N / global slots of the first kind)`` batches, and repeats the samples of the second kind as often as
    needed.

    Args:
        indices: Indices of the samples in the data set, ``[N]``.
        batch_size: Samples per batch and process.
        seed: Seed of the run, the same on all processes.
        phase: Number of the phase.
        start: Batches to skip when a run is resumed; nothing is loaded for them. Defaults to 0.
        rank: Number of this process. Defaults to 0.
        world_size: Number of processes. Defaults to 1.
        views: Number of random states per sample, which alternate by epoch; a key then ends with the number of the
            view. None (the default) gives a sample a new random state in every epoch.
        repeated: Indices of the samples of the second kind. None by default.
        repeated_per_batch: How many of the ``batch_size`` samples are of the second kind. Defaults to 0.

    Raises:
        ValueError: There are fewer samples, of either kind, than one global batch needs.
    """

    def __init__(self, indices: Sequence[int] | np.ndarray, batch_size: int, seed: int, phase: int, start: int = 0,
                 rank: int = 0, world_size: int = 1, views: int | None = None,
                 repeated: Sequence[int] | np.ndarray = (), repeated_per_batch: int = 0) -> None:
        self.batch_size = batch_size
        self.seed = seed
        self.phase = phase
        self.start = start
        self.rank = rank
        self.world_size = world_size
        self.views = views
        once_per_batch = batch_size - repeated_per_batch
        self.batches = len(indices) // (once_per_batch * world_size)
        for samples, count in ((indices, once_per_batch), (repeated, repeated_per_batch)):
            if len(samples) < count * world_size:
                raise ValueError(f'{len(samples)} training samples are fewer than one batch ({count} samples × '
                                 f'{world_size} processes); use a larger fraction or a smaller batch_size')
        groups = iter(slot_groups(indices, once_per_batch * world_size, seed, phase))
        others = iter(slot_groups(repeated, repeated_per_batch * world_size, seed, phase) if repeated_per_batch else ())
        # The pattern of a process's batch repeats over the global batch, so it is the same on any number of processes.
        is_repeated = [(i + 1) * repeated_per_batch // batch_size > i * repeated_per_batch // batch_size
                       for i in range(batch_size)]
        whole = [next(others if is_repeated[slot % batch_size] else groups)
                 for slot in range(batch_size * world_size)]
        first = rank * batch_size
        # Copies, since a view would keep the samples of all processes in memory.
        self._groups = [group.copy() for group in whole[first:first + batch_size]]

    def __len__(self) -> int:
        """Return the samples per epoch of this process."""
        return self.batches * self.batch_size

    def samples(self) -> Iterator[Key]:
        """Iterate over all samples of this process in any epoch, as ``(index, )`` or ``(index, view)``."""
        for group in self._groups:
            for index in group.tolist():
                if self.views is None:
                    yield (index, )
                else:
                    yield from ((index, view) for view in range(self.views))

    def __iter__(self) -> Iterator[Key]:
        epoch, batch = divmod(self.start, self.batches)
        while True:
            order = self._order(epoch)
            for i in range(batch, self.batches):
                yield from self._keys(epoch, i, order[i].tolist())
            epoch, batch = epoch + 1, 0

    def _order(self, epoch: int) -> np.ndarray:
        """Return the indices of an epoch, ``[batches, batch_size]``."""
        columns = []
        for slot, group in enumerate(self._groups, self.rank * self.batch_size):
            random = np.random.RandomState(derive_seed(self.seed, self.phase, epoch, 'slot', slot))
            repeats = max(1, -(-self.batches // len(group)))
            columns.append(np.concatenate([random.permutation(group) for _ in range(repeats)])[:self.batches])
        return np.stack(columns, axis=1)

    def _keys(self, epoch: int, batch: int, indices: list[int]) -> Iterator[Key]:
        first = (batch * self.world_size + self.rank) * self.batch_size
        for position, index in enumerate(indices, first):
            if self.views is None:
                yield index, derive_seed(self.seed, self.phase, epoch, position)
            else:
                view = epoch % self.views
                yield index, derive_seed(self.seed, 'view', index, view), view


def check_deterministic(dataset: Any, data_preprocessor: Any, views: int | None = None) -> None:
    """Refuse a data set whose images differ from one reading to the next.

    Args:
        dataset: The data set; wrappers that repeat or concatenate data sets are opened.
        data_preprocessor: That of the student, which may mix images.
        views: Number of views per image. With views the transforms may be random, since each view has a random state
            of its own. Defaults to None.

    Raises:
        ValueError: A transform is, or may be, random; the message names it.
    """
    random: list[str] = []
    if views is None:
        for part in plain_datasets(dataset):
            random += _random_transforms(part)
    if getattr(data_preprocessor, 'batch_augments', None):
        random.append('data_preprocessor.batch_augments')
    if random:
        raise ValueError(f'schedule.cache needs the same image each time it is read, but {random} may change it; '
                         'remove them from the training pipeline, set `schedule.cache=0`, or keep several augmented '
                         'views of each image with `schedule.cache.views`')


def _random_transforms(dataset: Any) -> list[str]:
    """Return the names of the transforms of a data set that may be random; its own if they are not known."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
    if transforms is None:
        return [type(dataset).__name__]
    names = []
    for transform in transforms:
        name = type(transform).__name__
        if name not in _DETERMINISTIC:
            names.append(name)
        elif getattr(transform, 'ignore_empty', False):
            # A data set replaces an image that cannot be loaded by another one, at random.
            names.append(f'{name}(ignore_empty=True)')
    return names
