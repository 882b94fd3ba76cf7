"""Metrics of mmsegmentation and mmpretrain that also return the value of each class."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric
from mmseg.evaluation import IoUMetric

from skd_mm.registry import METRICS, SCOPE


@METRICS.register_module()
class PerClassIoUMetric(IoUMetric):
    """mmsegmentation's ``IoUMetric`` with the IoU of each class in addition to the mean.

    It returns ``IoU_per_class``, a dict of class names and percentages; None for a class that is neither in the ground
    truth nor in a prediction.

    Args:
        **kwargs: As for ``IoUMetric``.

    Example:
        >>> test_evaluator = dict(type='skd_mm.PerClassIoUMetric', iou_metrics=['mIoU'])
    """

    def compute_metrics(self, results: list) -> dict[str, Any]:
        """Compute the metrics.

        Args:
            results: For each image the areas of intersection, union, prediction and ground truth, ``[K]`` each.

        Returns:
            The metrics of ``IoUMetric`` and ``IoU_per_class``.
        """
        metrics: dict[str, Any] = super().compute_metrics(results)
        if self.format_only:
            return metrics
        intersection, union = (sum(areas) for areas in list(zip(*results, strict=True))[:2])
        metrics['IoU_per_class'] = _percentages(self.dataset_meta, intersection, union)
        return metrics


@METRICS.register_module()
class PerClassAccuracy(BaseMetric):
    """Top-1 accuracy of each class of a classifier, for samples with one label.

    It returns ``accuracy_per_class``, a dict of class names and percentages; None for a class without samples.

    Args:
        **kwargs: As for MMEngine's ``BaseMetric``.

    Example:
        >>> test_evaluator = [dict(type='Accuracy'), dict(type='skd_mm.PerClassAccuracy')]
    """

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Take the labels of a batch.

        Args:
            data_batch: Not used.
            data_samples: The samples, with ``gt_label`` and ``pred_score`` ``[K]`` or ``pred_label``.
        """
        for sample in data_samples:
            if 'pred_score' in sample:
                predicted = int(sample['pred_score'].argmax())
            else:
                predicted = int(sample['pred_label'])
            self.results.append((int(sample['gt_label']), predicted))

    def compute_metrics(self, results: list[tuple[int, int]]) -> dict[str, Any]:
        """Compute the accuracies.

        Args:
            results: Label and prediction of each sample.

        Returns:
            ``accuracy_per_class``.
        """
        labels, predicted = torch.tensor(results).T
        classes = len(self.dataset_meta['classes'])
        right, all_samples = (torch.bincount(labels[chosen], minlength=classes)
                              for chosen in (labels == predicted, labels >= 0))
        return dict(accuracy_per_class=_percentages(self.dataset_meta, right, all_samples))


def _percentages(meta: Mapping[str, Any], part: torch.Tensor, whole: torch.Tensor) -> dict[str, float | None]:
    percentages: dict[str, float | None] = {}
    for name, numerator, denominator in zip(meta['classes'], part.tolist(), whole.tolist(), strict=True):
        percentages[name] = round(100 * numerator / denominator, 2) if denominator else None
    return percentages


def with_classes(evaluators: Any) -> list[ConfigDict]:
    """Return the config of metrics that also return the value of each class.

    Args:
        evaluators: The config of one or several metrics; it is not changed.

    Returns:
        The same metrics, with :class:`PerClassIoUMetric` instead of ``IoUMetric`` and :class:`PerClassAccuracy` in
        addition to ``Accuracy``. Other metrics have no values of classes.
    """
    metrics = []
    for metric in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        name = str(metric['type']).rpartition('.')[2]
        if name == 'IoUMetric':
            metrics.append(ConfigDict(metric, type=f'{SCOPE}.{PerClassIoUMetric.__name__}'))
            continue
        metrics.append(ConfigDict(metric))
        if name == 'Accuracy':
            metrics.append(ConfigDict(type=f'{SCOPE}.{PerClassAccuracy.__name__}'))
    return metrics
