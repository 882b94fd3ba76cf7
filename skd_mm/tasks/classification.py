"""Image classification, with mmpretrain's models."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Task


class Classification(Task):
    """Image classification: one class per image, accuracy, and a pooled feature."""

    name = 'classification'
    base = 'BaseClassifier'
    library = 'mmpretrain'
    parts = ('backbone', 'neck', 'head', 'loss')
    metrics = ('accuracy/top1', 'single-label/f1-score')
    pooled = 'neck'
    head = 'head'
    usual_sizes = (224, 256, 384)

    def num_classes(self, model: nn.Module) -> int | None:
        """Return how many classes the head of a model predicts, see :meth:`Task.num_classes`."""
        return super().num_classes(getattr(model, 'head', model))

    def label(self, sample: Any) -> Tensor | None:
        """Return the class of a data sample, ``[]``, see :meth:`Task.label`."""
        label = sample.get('gt_label')
        return label[0] if isinstance(label, Tensor) and label.numel() == 1 else None

    def remove_labels(self, sample: Any) -> None:
        """Replace the class of a data sample by a placeholder, see :meth:`Task.remove_labels`."""
        super().remove_labels(sample)
        # mmpretrain's data preprocessor expects that either all samples of a batch have a class, or none.
        if hasattr(sample, 'set_gt_label'):
            sample.set_gt_label(0)

    def _example(self, index: int, size: tuple[int, ...], device: torch.device) -> Any:
        from mmpretrain.structures import DataSample
        return DataSample().set_gt_label(torch.tensor([index % 2], device=device))

    def labels(self, model: nn.Module, outputs: Any, size: Sequence[int]) -> Tensor:
        """Return the class of each image, ``[B]``, see :meth:`Task.labels`."""
        return outputs.argmax(1)

    def from_labels(self, model: nn.Module, labels: Tensor) -> Tensor:
        """Return scores of classes, ``[B, K]``, see :meth:`Task.from_labels`."""
        known: Any = model
        return F.one_hot(labels, known.head.num_classes).float()

    def needs_scores(self, metric: Mapping[str, Any]) -> bool:
        """Return whether a metric needs the scores, as an accuracy among several classes does."""
        name = str(metric.get('type', '')).rpartition('.')[2]
        topk = metric.get('topk', (1, ))
        if isinstance(topk, int):
            topk = (topk, )
        if metric.get('thrs', 0.) not in (0, None, (0., ), [0.]):
            return True
        return name not in ('Accuracy', 'SingleLabelMetric', 'ConfusionMatrix') or max(topk) > 1
