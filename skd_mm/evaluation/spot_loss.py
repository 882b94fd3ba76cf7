"""The measure of a phase that learns from features alone."""

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from skd_mm.registry import METRICS

SPOT_LOSS = 'spot_loss'
"""Name of the metric by which a phase without a task loss is evaluated."""


@METRICS.register_module()
class SpotLossMetric(BaseMetric):
    """The mean loss at the active spots over a data set.

    SKD (arXiv 1911.06786) keeps the weights with the lowest validation loss of each stage.

    Args:
        average: ``'samples'`` weighs every sample alike. ``'batches'`` is the mean of the batches' means, as in SKD's
            published code; the two differ where the last batch is smaller.
        **kwargs: As for MMEngine's ``BaseMetric``.
    """

    default_prefix = ''  # none, and no warning that there is none

    def __init__(self, average: str = 'samples', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if average not in ('samples', 'batches'):
            raise ValueError(f"SpotLossMetric: `average` must be 'samples' or 'batches', not {average!r}")
        self.average = average

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Takes the losses of a batch.

        Args:
            data_batch: Not used.
            data_samples: One ``dict(spot_losses={name: loss})`` a sample, from the distiller.
        """
        for sample in data_samples:
            weight = 1.0 if self.average == 'samples' else 1 / len(data_samples)
            self.results.append((weight, sample['spot_losses']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Averages over all samples of all processes.

        Args:
            results: What :meth:`process` collected.

        Returns:
            ``spot_loss``, the sum over the spots, and ``spots.<name>.loss`` for each.
        """
        total = sum(weight for weight, _ in results)
        names = results[0][1]
        metrics = {f'spots.{name}.loss': sum(weight * losses[name] for weight, losses in results) / total
                   for name in names}
        return {SPOT_LOSS: sum(metrics.values()), **metrics}
