"""Tasks: segmentation, classification, detection. The only room that knows which library a model is from."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.utils import UNLABELLED

from .base import Task, Window
from .classification import Classification
from .detection import Detection
from .exceptions import apply_switches, eval_mode
from .segmentation import Segmentation

__all__ = [
    'DEFAULT_TASK',
    'LIBRARIES',
    'PARTS',
    'TASKS',
    'Classification',
    'Detection',
    'Segmentation',
    'Task',
    'Window',
    'apply_switches',
    'default_metric',
    'eval_mode',
    'example_samples',
    'label_of',
    'task_of',
]

TASKS: tuple[Task, ...] = (Segmentation(), Classification(), Detection())
DEFAULT_TASK = TASKS[1]
"""The task of a model of no known library, which is asked for logits ``[B, K]``."""

LIBRARIES = tuple(task.library for task in TASKS)
PARTS = tuple(dict.fromkeys(['data_preprocessor', *(part for task in TASKS for part in task.parts)]))
"""The keys of a model's config whose values are configs of parts."""


def task_of(model: nn.Module) -> Task:
    """Return the task of a model.

    Args:
        model: Any model.

    Returns:
        Its task; classification for a model of no known library, which is asked for logits ``[B, K]``.
    """
    return next((task for task in TASKS if task.supports(model)), DEFAULT_TASK)


def label_of(sample: Any) -> Tensor | None:
    """Return the ground truth of a data sample.

    Args:
        sample: A data sample of any task.

    Returns:
        Its class, ``[]``, or map of classes, ``[H, W]``; None if it has none, or several, or is marked as unlabelled.
    """
    if sample.metainfo.get(UNLABELLED):
        return None
    for task in TASKS:
        label = task.label(sample)
        if label is not None:
            return label
    return None


def default_metric(metrics: Iterable[str]) -> str | None:
    """Return the metric by which checkpoints are selected if a config names none.

    Args:
        metrics: Names of the metrics of a validation.

    Returns:
        The usual one of its task, else the first; None if there are none.
    """
    names = list(metrics)
    usual = [name for task in TASKS for name in task.metrics if name in names]
    return next(iter(usual + names), None)


def example_samples(model: nn.Module, shape: Sequence[int], device: torch.device, count: int) -> list[Any]:
    """Return data samples of the kind that a model's losses take.

    Args:
        model: The model.
        shape: ``(C, H, W)`` of the images.
        device: The device of the labels.
        count: The number of samples.

    Returns:
        The samples, with indices as in training.
    """
    return task_of(model).example_samples(shape, device, count)
