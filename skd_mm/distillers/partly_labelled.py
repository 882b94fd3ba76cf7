"""Batches in which only some samples have labels.

The student's own losses get the labelled samples alone, in a separate forward pass, so that they are normalised over
these as in a batch without any others. The other samples run as far as the spots need. Spots compare all samples.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.features import NetworkPair, PairOutputs, TeacherForcing
from skd_mm.losses import Feature
from skd_mm.utils import UNLABELLED, tree_map

from .samples import collect_context
from .spot import Spot
from .terms import spot_inputs


def count_labelled(data_samples: Sequence[Any] | None) -> int | None:
    """Return how many samples of a batch are labelled; None if all are."""
    unlabelled = sum(bool(sample.metainfo.get(UNLABELLED)) for sample in data_samples or ())
    return len(data_samples or ()) - unlabelled if unlabelled else None


def labelled_first(inputs: Tensor, data_samples: Sequence[Any]) -> tuple[Tensor, list[Any]]:
    """Sort the samples of a batch, the labelled ones first.

    Args:
        inputs: ``[B, C, H, W]``.
        data_samples: One per image.

    Returns:
        Both in the new order.
    """
    rows = sorted(range(len(inputs)), key=lambda row: bool(data_samples[row].metainfo.get(UNLABELLED)))
    if rows != list(range(len(inputs))):
        # Indexing with a list would make an accelerator wait for the host.
        inputs = torch.stack([inputs[row] for row in rows])
    return inputs, [data_samples[row] for row in rows]


def run_parts(pair: NetworkPair, inputs: Tensor, data_samples: Sequence[Any], labelled: int,
              keys: Sequence[Hashable] | None, task: bool, forcing: TeacherForcing | None = None) -> PairOutputs:
    """Run both networks on a batch, the student's own losses on its labelled samples alone.

    Args:
        pair: The networks.
        inputs: ``[B, C, H, W]``, the labelled images first.
        data_samples: One per image.
        labelled: How many of them are labelled.
        keys: Keys of the images in the cache, or None.
        task: Whether the student's own losses are on.
        forcing: Replaces features of the student by the teacher's, see :meth:`skd_mm.features.NetworkPair.run`.

    Returns:
        The student's losses on the labelled samples, if there are any and the losses are on; and the features of all
        samples.
    """
    if not task:
        return pair.run(inputs, data_samples, 'tensor', keys, forcing=forcing)
    compared = bool(pair.plan.student or pair.plan.teacher)
    if not labelled and not compared:
        return PairOutputs(None, {}, {})
    if not labelled:
        # A cache that begins with such a batch would not know what the student's own losses read.
        return pair.run(inputs, data_samples, 'tensor', forcing=forcing)
    parts = [(slice(labelled), 'loss'), *([(slice(labelled, None), 'tensor')] if compared else [])]
    outputs = [pair.run(inputs[rows], data_samples[rows], mode, keys and keys[rows], forcing=forcing)
               for rows, mode in parts]
    return PairOutputs(outputs[0].student, _joined([each.features for each in outputs]),
                       _joined([each.targets for each in outputs]))


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def no_task_loss(parameters: Iterable[nn.Parameter]) -> dict[str, Tensor]:
    """Return the student's own losses on no sample: zero, with a gradient of zero for each parameter.

    A data-parallel wrapper waits for the gradients of all trained parameters.

    Args:
        parameters: The trained parameters of the student.

    Returns:
        ``task.loss``.
    """
    return {'task.loss': torch.stack([parameter.flatten()[:0].sum() for parameter in parameters]).sum()}


def compare_parts(spot: Any, outputs: PairOutputs, data_samples: Sequence[Any], labelled: int) -> Tensor:
    """Compare the features of a batch at a spot; its loss gets the labels of the labelled samples.

    A loss that compares samples with each other, or with a memory, gets no labels if one sample of the batch has none.

    Args:
        spot: The spot.
        outputs: The outputs of both networks.
        data_samples: One per image, the labelled ones first.
        labelled: How many of them are labelled.

    Returns:
        The loss, ``[B]``, or a scalar.
    """
    student, teacher, context = spot_inputs(spot, outputs, data_samples)
    by_sample = isinstance(spot, Spot) and 'labels' in spot.needs and not spot.loss.relational and spot.memory is None
    if not by_sample or not labelled:
        return spot(student, teacher, context)
    student, teacher = spot.connect(student, teacher)
    values = []
    for rows in (slice(labelled), slice(labelled, None)):
        context = collect_context(data_samples[rows], spot.needs, teacher)
        values.append(spot.compare(_rows(student, rows), _rows(teacher, rows), context))
    return torch.cat(values)


def _rows(feature: Feature, rows: slice) -> Feature:
    return tree_map(lambda part: part[rows], feature)
