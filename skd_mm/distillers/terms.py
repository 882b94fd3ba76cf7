"""The terms of a step's loss: the student's own losses, and what each spot compares."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from skd_mm.features import PairOutputs

from .samples import collect_context
from .spot import select_features

_TASK_LOSS = 'task.loss'  # what mmpretrain's heads call `loss`: under that name the log has the sum of all


def spot_inputs(spot: Any, outputs: PairOutputs,
                data_samples: Sequence[Any] | None) -> tuple[Any, Any, dict[str, Tensor]]:
    """Return what a spot compares.

    Args:
        spot: A spot, or what belongs to one.
        outputs: The outputs of both networks.
        data_samples: One per image.

    Returns:
        The student's feature, ``[B, C, ...]``, or a tuple of several, and the teacher's, both in the layout that the
        spot compares, and what the spot needs to know of the samples.
    """
    student, teacher = spot.arrange(select_features(outputs.features, spot.student),
                                    select_features(outputs.targets, spot.teacher), outputs.images)
    return student, teacher, collect_context(data_samples, spot.needs, teacher)


def task_losses(outputs: Mapping[str, Any], weight: float) -> dict[str, Any]:
    """Weight the student's own losses.

    Args:
        outputs: The student's output in mode ``'loss'``.
        weight: Their weight.

    Returns:
        The losses times the weight, and what else the student logs; one that it calls ``loss`` as ``task.loss``.
    """
    losses: dict[str, Any] = {}
    for key, value in outputs.items():
        name = _TASK_LOSS if key == 'loss' else key
        if 'loss' not in key or weight == 1:
            losses[name] = value
        elif isinstance(value, list):
            losses[name] = [part * weight for part in value]
        else:
            losses[name] = value * weight
    return losses
