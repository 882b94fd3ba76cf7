"""Training data of the phases of a schedule."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.fraction import fractions_of, sample_names, write_fraction
from skd_mm.datasets.sample_cache import PhaseLoader, SampleCache
from skd_mm.datasets.seeded import PhaseSampler, SeededDataset
from skd_mm.schedules import Phase, Recipe
from skd_mm.utils import from_main_process

# Keys of `train_dataloader` that a phase sets itself. Its epochs never end, so workers need not outlive them.
_OWN_KEYS = ('dataset', 'sampler', 'batch_sampler', 'drop_last', 'persistent_workers')


class PhaseData:
    """Data set, data fractions and loaders of the phases.

    An epoch has ``floor(N / global batch)`` batches of the phase's fraction of the data set, in a new random order.

    Args:
        loader_cfg: ``train_dataloader``. Its sampler is ignored.
        recipe: The schedule, for its fractions and its cache settings.
        phases: Its phases.

    Attributes:
        dataset: The data set.
        batch_size: Samples per batch and process.
        sample_cache: Samples that have been read, of training and validation.

    Raises:
        OSError: A file or folder of the data set does not exist.
        ValueError: The data set cannot be built, or no fraction can be taken of it.
    """

    def __init__(self, loader_cfg: Mapping[str, Any], recipe: Recipe, phases: Sequence[Phase]) -> None:
        self._loader_cfg = {key: value for key, value in loader_cfg.items() if key not in _OWN_KEYS}
        self._recipe = recipe
        self.batch_size: int = loader_cfg['batch_size']
        self.dataset = build_dataset(loader_cfg['dataset'], 'train_dataloader.dataset')
        try:
            fractions = {phase.fraction for phase in phases}
            self._indices = from_main_process(lambda: fractions_of(self.dataset, fractions, recipe.fraction_seed))
        except ValueError as error:
            raise ValueError(f'`schedule.fraction`: {error}') from error
        self.sample_cache = SampleCache(int(recipe.cache.images * 2**30))

    @property
    def global_batch_size(self) -> int:
        """Samples per iteration, over all processes."""
        return self.batch_size * get_world_size()

    @property
    def classes(self) -> Sequence[str]:
        """Names of the data set's classes; empty if it does not have any."""
        return (getattr(self.dataset, 'metainfo', None) or {}).get('classes') or ()

    def indices(self, phase: Phase) -> np.ndarray:
        """Indices of a phase's samples in the data set, in ascending order."""
        return self._indices[phase.fraction]

    def epoch_length(self, phase: Phase) -> int:
        """Iterations per epoch of a phase."""
        return len(self.indices(phase)) // self.global_batch_size

    def length(self, phase: Phase) -> int:
        """Iterations of a phase."""
        if phase.iters is not None:
            return phase.iters
        return int(phase.epochs or 0) * self.epoch_length(phase)

    def epochs(self, phase: Phase) -> int:
        """Epochs of a phase, the last of which may be incomplete."""
        return -(-self.length(phase) // self.epoch_length(phase))

    def build_loader(self, phase: Phase, number: int, seed: int, start: int = 0,
                     announce: Callable[[list[tuple[int, ...]]], None] | None = None) -> Any:
        """Builds the data loader of a phase.

        Args:
            phase: The phase.
            number: Its position in the schedule, from 0.
            seed: Seed of the run.
            start: Iterations to skip, when a run is resumed.
            announce: See :class:`skd_mm.datasets.sample_cache.PhaseLoader`.

        Returns:
            A data loader that never ends.

        Raises:
            ValueError: The phase has fewer samples than one global batch.
        """
        sampler = PhaseSampler(self.indices(phase), self.batch_size, seed, number, start, get_rank(), get_world_size(),
                               self._recipe.cache.views)
        loader = Runner.build_dataloader(
            dict(self._loader_cfg, dataset=SeededDataset(self.dataset), sampler=sampler, drop_last=True), seed=seed)
        if not self._recipe.cache:
            return loader
        # On the device there is nothing to read ahead.
        reads_ahead = self._recipe.cache.host or self._recipe.cache.disk
        return PhaseLoader(loader, self.sample_cache, announce if reads_ahead else None)

    def write_names(self, phase: Phase, folder: str | Path) -> None:
        """Writes the names of a phase's samples to a file, if the phase uses a fraction of the data set."""
        if phase.fraction == 1:
            return
        seed = self._recipe.fraction_seed
        names = sample_names(self.dataset, self.indices(phase))
        write_fraction(Path(folder) / f'fraction_{phase.fraction:g}_seed_{seed}.txt', names, phase.fraction, seed)
