"""Metric of phases that are validated by the losses at their spots."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from skd_mm.registry import METRICS

SPOT_LOSS = 'spot_loss'
"""Name of the metric of phases that are validated by the losses at their spots."""


@METRICS.register_module()
class SpotLossMetric(BaseMetric):
    """Mean loss of the active spots over a data set.

    SKD (arXiv 1911.06786) keeps the weights with the lowest validation loss of each stage.

    Args:
        average: ``'samples'`` weights all samples equally. ``'batches'`` is the mean of the batches' means, as in SKD's
            published code; the two differ if the last batch is smaller. Defaults to ``'samples'``.
        **kwargs: As for MMEngine's ``BaseMetric``.
    """

    default_prefix = ''  # none, and no warning that there is none

    def __init__(self, average: str = 'samples', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if average not in ('samples', 'batches'):
            raise ValueError(f"SpotLossMetric: `average` must be 'samples' or 'batches', not {average!r}")
        self.average = average

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Collect the losses of a batch.

        Args:
            data_batch: Not used.
            data_samples: One ``dict(spot_losses={name: loss})`` per sample, from the distiller.
        """
        for sample in data_samples:
            weight = 1.0 if self.average == 'samples' else 1 / len(data_samples)
            self.results.append((weight, sample['spot_losses']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over the samples of all processes.

        Args:
            results: Output of :meth:`process`.

        Returns:
            ``spot_loss``, the sum over the spots, and ``spots.<name>.loss`` for each spot.
        """
        total = sum(weight for weight, _ in results)
        metrics = {}
        for name in results[0][1]:
            metrics[f'spots.{name}.loss'] = sum(weight * losses[name] for weight, losses in results) / total
        return {SPOT_LOSS: sum(metrics.values()), **metrics}
