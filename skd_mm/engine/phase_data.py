"""Training data of the phases of a schedule."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.fraction import fractions_of, sample_names, write_fraction
from skd_mm.datasets.partly_labelled import PartlyLabelled, unlabelled_config
from skd_mm.datasets.sample_cache import PhaseLoader, SampleCache
from skd_mm.datasets.seeded import PhaseSampler, SeededDataset
from skd_mm.schedules import Phase, Recipe
from skd_mm.tasks import Task
from skd_mm.utils import from_main_process

# Keys of `train_dataloader` that a phase sets itself. Its epochs never end, so workers need not outlive them.
_OWN_KEYS = ('dataset', 'sampler', 'batch_sampler', 'drop_last', 'persistent_workers')


class PhaseData:
    """Data set, data fractions and loaders of the phases.

    An epoch has ``floor(N / global batch)`` batches of the phase's fraction of the data set, in a new random order.
    Unlabelled samples follow the labelled ones in one data set; an epoch of a phase with both uses the unlabelled ones
    once.

    Args:
        loader_cfg: ``train_dataloader``. Its sampler is ignored.
        recipe: The schedule, for its fractions and its cache settings.
        phases: Its phases, whose ``data`` is determined.
        unlabelled_cfg: ``unlabelled_dataloader``. None if there is none.
        task: The student's task, which removes labels of unlabelled data. None if there is no such data.

    Attributes:
        dataset: The data set.
        batch_size: Samples per batch and process.
        sample_cache: Samples that have been read, of training and validation.

    Raises:
        OSError: A file or folder of the data set does not exist.
        ValueError: The data set cannot be built, or no fraction can be taken of it.
    """

    def __init__(self, loader_cfg: Mapping[str, Any], recipe: Recipe, phases: Sequence[Phase],
                 unlabelled_cfg: Mapping[str, Any] | None = None, task: Task | None = None) -> None:
        self._loader_cfg = {key: value for key, value in loader_cfg.items() if key not in _OWN_KEYS}
        self._recipe = recipe
        self.batch_size: int = loader_cfg['batch_size']
        self._labelled = build_dataset(loader_cfg['dataset'], 'train_dataloader.dataset')
        self.dataset = self._labelled
        self._unlabelled: Any = None
        if unlabelled_cfg is not None and task is not None:
            self._unlabelled = build_dataset(unlabelled_config(unlabelled_cfg['dataset'], loader_cfg['dataset']),
                                             'unlabelled_dataloader.dataset')
            self.dataset = PartlyLabelled(self._labelled, self._unlabelled, task.remove_labels)
        self._indices = self._fractions(self._labelled, {phase.fraction for phase in phases}, 'fraction')
        self._others = {fraction: indices + len(self._labelled) for fraction, indices in self._fractions(
            self._unlabelled, {phase.unlabelled_fraction for phase in phases}, 'unlabelled_fraction').items()}
        self.sample_cache = SampleCache(int(recipe.cache.images * 2**30))

    def _fractions(self, dataset: Any, fractions: set[float], key: str) -> dict[float, np.ndarray]:
        """Return the indices of each fraction of one of the data sets."""
        if dataset is None:
            return {fraction: np.zeros(0, dtype=np.int64) for fraction in fractions}
        try:
            return from_main_process(lambda: fractions_of(dataset, fractions, self._recipe.fraction_seed))
        except ValueError as error:
            raise ValueError(f'`schedule.{key}`: {error}') from error

    @property
    def global_batch_size(self) -> int:
        """Samples per iteration, over all processes."""
        return self.batch_size * get_world_size()

    @property
    def classes(self) -> Sequence[str]:
        """Names of the data set's classes; empty if it does not have any."""
        return (getattr(self.dataset, 'metainfo', None) or {}).get('classes') or ()

    def labelled(self, phase: Phase) -> np.ndarray:
        """Indices of a phase's labelled samples in the data set, in ascending order."""
        return self._indices[phase.fraction][:0 if phase.data == 'unlabelled' else None]

    def unlabelled(self, phase: Phase) -> np.ndarray:
        """Indices of a phase's unlabelled samples in the data set, in ascending order."""
        return self._others[phase.unlabelled_fraction][:0 if phase.data == 'labelled' else None]

    def indices(self, phase: Phase) -> np.ndarray:
        """Indices of a phase's samples in the data set, in ascending order."""
        return np.concatenate([self.labelled(phase), self.unlabelled(phase)])

    def all_indices(self, phases: Sequence[Phase]) -> np.ndarray:
        """Indices of the samples of all phases in the data set, in ascending order."""
        return np.unique(np.concatenate([self.indices(phase) for phase in phases]))

    def describe(self, phase: Phase) -> str:
        """Describe the samples of a phase, for the log."""
        parts = []
        if phase.data != 'unlabelled':
            parts.append(f'{len(self.labelled(phase))} of {len(self._labelled)} images')
        if phase.data != 'labelled':
            parts.append(f'{len(self.unlabelled(phase))} of {len(self._unlabelled)} unlabelled images')
        return ' and '.join(parts)

    def check(self, phase: Phase) -> None:
        """Check that a phase has enough samples for a batch.

        Args:
            phase: The phase.

        Raises:
            ValueError: It has not, or the share of labelled samples is no whole number of a batch.
        """
        share = phase.labelled_samples(self.batch_size)
        for key, name, indices, count in (
                ('fraction', 'training', self.labelled(phase), share),
                ('unlabelled_fraction', 'unlabelled training', self.unlabelled(phase), self.batch_size - share)):
            batch = count * get_world_size()
            if len(indices) < batch:
                raise ValueError(
                    f'phase {phase.name!r}: {len(indices)} {name} samples ({key} {getattr(phase, key)}) are fewer than '
                    f'one batch of {batch}; use a larger `schedule.{key}` or a smaller `train_dataloader.batch_size`')

    def epoch_length(self, phase: Phase) -> int:
        """Iterations per epoch of a phase."""
        if phase.data != 'both':
            return len(self.indices(phase)) // self.global_batch_size
        each = self.batch_size - phase.labelled_samples(self.batch_size)
        return len(self.unlabelled(phase)) // (each * get_world_size())

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
        self.check(phase)
        repeated: dict[str, Any] = {}
        if phase.data == 'both':
            repeated = dict(repeated=self.labelled(phase),
                            repeated_per_batch=phase.labelled_samples(self.batch_size))
        indices = self.unlabelled(phase) if repeated else self.indices(phase)
        sampler = PhaseSampler(indices, self.batch_size, seed, number, start, get_rank(), get_world_size(),
                               self._recipe.cache.views, **repeated)
        loader = Runner.build_dataloader(
            dict(self._loader_cfg, dataset=SeededDataset(self.dataset), sampler=sampler, drop_last=True), seed=seed)
        if not self._recipe.cache:
            return loader
        # On the device there is nothing to read ahead.
        reads_ahead = self._recipe.cache.host or self._recipe.cache.disk
        return PhaseLoader(loader, self.sample_cache, announce if reads_ahead else None)

    def write_names(self, phase: Phase, folder: str | Path) -> None:
        """Writes the names of a phase's samples to files, if the phase uses a fraction of a data set."""
        seed = self._recipe.fraction_seed
        for dataset, fraction, indices, name in (
                (self._labelled, phase.fraction, self.labelled(phase), 'fraction'),
                (self._unlabelled, phase.unlabelled_fraction, self.unlabelled(phase) - len(self._labelled),
                 'unlabelled_fraction')):
            if fraction < 1 and len(indices):
                names = sample_names(dataset, indices)
                write_fraction(Path(folder) / f'{name}_{fraction:g}_seed_{seed}.txt', names, fraction, seed)
