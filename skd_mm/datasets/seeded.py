"""Samples whose random augmentation depends on nothing but where they stand in the run."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from mmengine.structures import BaseDataElement
from torch.utils.data import Dataset, Sampler

from skd_mm.utils import INDEX, VALIDATION_INDEX, VIEW, derive_seed, seed_everything

Key = tuple[int, ...]

# Transforms that give the same image each time. One that is not named here may be random.
_DETERMINISTIC = {
    'LoadImageFromFile', 'LoadAnnotations', 'LoadImageFromNDArray', 'Resize', 'Pad', 'Normalize', 'CenterCrop',
    'ResizeEdge', 'ResizeMask', 'PackSegInputs', 'PackInputs', 'PackClsInputs', 'ImageToTensor', 'ToTensor'
}


class DataError(RuntimeError):
    """A sample cannot be read, or its transforms fail on it."""


class NamedDataset(Dataset):
    """Numbers the samples, and says which one it is that cannot be read.

    Each data sample carries its index, under the name that ``index_name`` says. What else is asked for, the data set
    answers: hooks look at its classes and labels.

    Args:
        dataset: The data set.
        kind: What its samples are called in messages. Defaults to ``'validation'``.

    Raises:
        DataError: From ``[]``, where a sample cannot be read; it names the file.
    """

    index_name = VALIDATION_INDEX

    def __init__(self, dataset: Any, kind: str = 'validation') -> None:
        self.dataset = dataset
        self.kind = kind

    def __getattr__(self, name: str) -> Any:
        # What Python and PyTorch look for is this one's own, as is `dataset`, also of a copy that is not filled yet.
        if name == 'dataset' or name.startswith('_'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def metainfo(self) -> Any:
        """The data set's classes, palette and the like."""
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
        """The file behind a sample, for messages."""
        try:
            return f' ({self.dataset.get_data_info(index)["img_path"]})'
        except (AttributeError, KeyError):
            return ''


class SeededDataset(NamedDataset):
    """Gives every sample a random state of its own.

    A loader that is started in the middle of an epoch then gives the same images as one that ran from its start, and
    the number of workers makes no difference. Each data sample carries its index as ``skd_mm_index``, and the number of
    its view as ``skd_mm_view`` where there is a bank of them.

    Args:
        dataset: The data set; its pipeline may use the global generators of Python, NumPy and PyTorch.

    Raises:
        DataError: From ``[]``, where a sample cannot be read; it names the file.
    """

    index_name = INDEX

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset, 'training')

    def __getitem__(self, key: Key) -> Any:  # type: ignore[override]
        index, seed, *view = key
        seed_everything(seed)
        sample = super().__getitem__(index)
        if view and isinstance(sample, dict) and 'data_samples' in sample:
            sample['data_samples'].set_metainfo({VIEW: view[0]})
        return sample


class PhaseSampler(Sampler[Key]):
    """The samples of one phase, epoch after epoch without an end.

    An epoch has ``floor(N / global batch)`` batches of a fresh permutation. Each batch is dealt out to the processes
    in order, so that two processes with half the batch each see what one process sees.

    Args:
        indices: Indices into the data set.
        batch_size: Samples a batch and process.
        seed: Of the run.
        phase: Number of the phase.
        start: Batches to begin behind, when a run is resumed; nothing is loaded for them.
        rank: Number of this process. Defaults to 0.
        world_size: How many there are. Defaults to 1.
        views: Number of random states that a sample has, which take turns by epoch; a key then ends with the number of
            the view. None (the default) gives a sample a fresh one in every epoch.

    Raises:
        ValueError: There are fewer samples than one global batch takes.
    """

    def __init__(self, indices: Sequence[int], batch_size: int, seed: int, phase: int, start: int = 0, rank: int = 0,
                 world_size: int = 1, views: int | None = None) -> None:
        self.indices = np.asarray(indices)
        self.batch_size = batch_size
        self.seed = seed
        self.phase = phase
        self.start = start
        self.rank = rank
        self.world_size = world_size
        self.views = views
        self.batches = len(indices) // (batch_size * world_size)
        if not self.batches:
            raise ValueError(f'{len(indices)} training samples are fewer than one batch ({batch_size} samples × '
                             f'{world_size} processes); use a larger fraction or a smaller batch_size')

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def samples(self) -> Iterator[Key]:
        """What the phase has in all, in any epoch: ``(index, )`` or ``(index, view)``."""
        for index in self.indices:
            yield from [(int(index), )] if self.views is None else [(int(index), view) for view in range(self.views)]

    def __iter__(self) -> Iterator[Key]:
        epoch, batch = divmod(self.start, self.batches)
        while True:
            order = np.random.RandomState(derive_seed(self.seed, self.phase, epoch)).permutation(self.indices)
            for i in range(batch, self.batches):
                first = (i * self.world_size + self.rank) * self.batch_size
                for position in range(first, first + self.batch_size):
                    index = int(order[position])
                    if self.views is None:
                        yield index, derive_seed(self.seed, self.phase, epoch, position)
                    else:
                        view = epoch % self.views
                        yield index, derive_seed(self.seed, 'view', index, view), view
            epoch, batch = epoch + 1, 0


def check_deterministic(dataset: Any, data_preprocessor: Any, views: int | None = None) -> None:
    """Refuses a data set whose images are different each time they are read.

    Args:
        dataset: The data set; a ``ConcatDataset`` is opened.
        data_preprocessor: The student's, which may mix images.
        views: Number of views of a bank, whose transforms may be random, as each has a random state of its own.

    Raises:
        ValueError: A transform is, or may be, random; the message names it.
    """
    parts = getattr(dataset, 'datasets', [dataset])
    random = []
    for part in parts if views is None else ():
        steps = getattr(getattr(part, 'pipeline', None), 'transforms', None)
        names = [type(part).__name__] if steps is None else [type(step).__name__ for step in steps]
        random += [name for name in names if name not in _DETERMINISTIC]
    if getattr(data_preprocessor, 'batch_augments', None):
        random.append('data_preprocessor.batch_augments')
    if random:
        raise ValueError(f'schedule.cache needs the same image each time it is read, but {random} may change it; take '
                         'them out of the training pipeline, set `schedule.cache=0`, or keep several augmented views '
                         'of each image with `schedule.cache.views`')
