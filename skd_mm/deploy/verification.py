"""Comparing the outputs of an exported file with those of PyTorch."""

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from skd_mm.utils import tree_leaves

TOLERANCE = 1e-4
"""The largest relative difference of a float32 export."""


def relative_difference(outputs: Any, references: Any) -> float:
    """Return the largest difference between outputs relative to the largest magnitude of the reference.

    Args:
        outputs: A tensor, or a pytree of tensors, of any shapes.
        references: The same of PyTorch.

    Returns:
        The maximum over all tensors of ``max|output - reference| / max|reference|``; infinity if a shape differs, or if
        only one of both is not finite.
    """
    one, other = tree_leaves(outputs), tree_leaves(references)
    if len(one) != len(other):
        return math.inf
    return max((_difference(output, reference) for output, reference in zip(one, other, strict=True)), default=0.0)


def _difference(output: Tensor, reference: Tensor) -> float:
    if output.shape != reference.shape:
        return math.inf
    if not reference.numel():
        return 0.0
    output, reference = output.detach().cpu().double(), reference.detach().cpu().double()
    largest = float((output - reference).abs().max())
    scale = float(reference.abs().max())
    if not math.isfinite(largest) or not math.isfinite(scale):
        return 0.0 if output.equal(reference) else math.inf
    return largest / max(scale, 1e-12)


def worst_difference(run: Any, model: Any, batches: Iterable[tuple[Tensor, ...]]) -> float:
    """Run an exported file and the model on several batches, and return the largest relative difference.

    Args:
        run: The exported network; takes the tensors of a batch.
        model: The model in PyTorch, in eval mode; takes the same.
        batches: The batches.

    Returns:
        See :func:`relative_difference`.
    """
    return max(relative_difference(run(*batch), model(*batch)) for batch in batches)
