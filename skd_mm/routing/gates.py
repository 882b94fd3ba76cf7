"""Gates of spots: only the samples that a gate selects are distilled."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from skd_mm.losses import Feature
from skd_mm.utils import tree_map

GATES = ('policy', 'always', 'never', 'random', 'anti')
"""Kinds of gates: by the policy, all samples, no sample, at random, or the opposite of the policy."""


def gated(compare: Callable[..., Tensor], subset: bool, student: Feature, teacher: Feature,
          context: Mapping[str, Tensor] | None, gate: Tensor) -> Tensor:
    """Compare two features on the samples that a gate selects.

    The mean of the result is ``(|M| / B) · l(f_S[M], f_T[M])`` with the selected samples ``M`` and the mean loss ``l``
    of those, as SAKD (arXiv 2205.02399) gates every distiller. Connectors are applied before this: a BN in one of them
    sees the whole batch. The number of selected samples stays on the device, so the host need not wait for it.

    Args:
        compare: The loss, a function of both features, the context and, if ``subset``, of a mask.
        subset: Whether it compares samples with each other, or remembers them. It then gets all samples, the selected
            ones first and in their order, and as ``selected`` a ``[B]`` mask, and gives the mean over those. Otherwise
            it gives ``[B]``, of which the values of the other samples are dropped.
        student: ``[B, ...]``, or a tuple of such.
        teacher: The same.
        context: What is known of the samples, ``[B, ...]`` by name.
        gate: ``[B]``, True for the samples that are distilled.

    Returns:
        ``[B]``, or a scalar if ``subset``. With no sample selected it is zero, and connected to the graph.
    """
    if not subset:
        values = compare(student, teacher, context)
        return torch.where(gate, values, torch.zeros_like(values))
    order = gate.int().argsort(descending=True, stable=True)
    value = compare(tree_map(lambda part: part[order], student), tree_map(lambda part: part[order], teacher),
                    {name: known[order] for name, known in (context or {}).items()}, selected=gate[order])
    return value * gate.sum() / len(gate)
