"""Samples whose random augmentation depends on nothing but where they stand in the run."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from skd_mm.utils import derive_seed, seed_everything

Key = tuple[int, int]


class SeededDataset(Dataset):
    """Gives every sample a random state of its own.

    A loader that is started in the middle of an epoch then gives the same images as one that ran from its start, and
    the number of workers makes no difference.

    Args:
        dataset: The data set; its pipeline may use the global generators of Python, NumPy and PyTorch.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    @property
    def metainfo(self) -> Any:
        """The data set's classes, palette and the like."""
        return getattr(self.dataset, 'metainfo', {})

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: Key) -> Any:
        index, seed = key
        seed_everything(seed)
        return self.dataset[index]


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

    Raises:
        ValueError: There are fewer samples than one global batch takes.
    """

    def __init__(self, indices: Sequence[int], batch_size: int, seed: int, phase: int, start: int = 0, rank: int = 0,
                 world_size: int = 1) -> None:
        self.indices = np.asarray(indices)
        self.batch_size = batch_size
        self.seed = seed
        self.phase = phase
        self.start = start
        self.rank = rank
        self.world_size = world_size
        self.batches = len(indices) // (batch_size * world_size)
        if not self.batches:
            raise ValueError(f'{len(indices)} training samples are fewer than one batch ({batch_size} samples × '
                             f'{world_size} processes); use a larger fraction or a smaller batch_size')

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[Key]:
        epoch, batch = divmod(self.start, self.batches)
        while True:
            order = np.random.RandomState(derive_seed(self.seed, self.phase, epoch)).permutation(self.indices)
            for i in range(batch, self.batches):
                first = (i * self.world_size + self.rank) * self.batch_size
                for position in range(first, first + self.batch_size):
                    yield int(order[position]), derive_seed(self.seed, self.phase, epoch, position)
            epoch, batch = epoch + 1, 0
