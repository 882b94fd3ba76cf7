"""Validation of the phases of a schedule."""

from typing import Any

from mmengine.evaluator import Evaluator

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.sample_cache import SampleCache, ValidationLoader
from skd_mm.datasets.seeded import NamedDataset, check_deterministic
from skd_mm.evaluation import SpotLossMetric
from skd_mm.schedules import Phase


class PhaseValidation:
    """Validation data and evaluators.

    A phase is evaluated by the config's evaluator or by :class:`SpotLossMetric`, see ``val_metric`` of
    :class:`skd_mm.schedules.Phase`.

    Args:
        runner: The runner, before its validation loop is built.

    Raises:
        OSError: A file or folder of the data set does not exist.
        ValueError: The data set cannot be built.
    """

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self._evaluators: tuple[Evaluator, Evaluator] | None = None
        loader = runner._val_dataloader
        if isinstance(loader, dict):
            dataset = build_dataset(loader['dataset'], 'val_dataloader.dataset')
            runner._val_dataloader = dict(loader, dataset=NamedDataset(dataset))

    @property
    def dataset(self) -> Any:
        """The validation data set; None without validation."""
        if self.runner.val_loop is None:
            return None
        dataset = self.runner.val_loop.dataloader.dataset
        return dataset.dataset if isinstance(dataset, NamedDataset) else dataset

    def evaluator(self, phase: Phase) -> Evaluator:
        """Return the evaluator of a phase."""
        if self._evaluators is None:
            # The config's own evaluator, of whatever class, keeps all but the spot loss.
            task = self.runner.val_loop.evaluator
            spot = [metric for metric in task.metrics if isinstance(metric, SpotLossMetric)]
            task.metrics = [metric for metric in task.metrics if not isinstance(metric, SpotLossMetric)]
            self._evaluators = task, Evaluator(spot or [SpotLossMetric()])
        return self._evaluators[0 if phase.validates_task else 1]

    def keep_samples(self, cache: SampleCache, data_preprocessor: Any) -> None:
        """Read the validation's images once per run, if they are the same each time.

        Args:
            cache: Holds the samples.
            data_preprocessor: The student's.
        """
        loop = self.runner.val_loop
        if loop is None or getattr(loop.dataloader.sampler, 'shuffle', True):
            return
        try:
            check_deterministic(self.dataset, data_preprocessor)
        except ValueError:
            return
        loop.dataloader = ValidationLoader(loop.dataloader, cache)
