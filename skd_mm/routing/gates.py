"""What a gate does to a spot: only the samples that it lets through are distilled."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from skd_mm.losses import Feature
from skd_mm.losses.base import parts

GATES = ('policy', 'always', 'never', 'random', 'anti')
"""Who decides: the policy, nobody (all samples or none), chance, or the opposite of the policy."""


def gated(compare: Callable[..., Tensor], subset: bool, student: Feature, teacher: Feature,
          context: Mapping[str, Tensor] | None, gate: Tensor) -> Tensor:
    """Compares two features for the samples that a gate lets through.

    The mean of the result is ``(|M| / B) · l(f_S[M], f_T[M])`` with the selected samples ``M`` and the mean loss ``l``
    of those, as SAKD (arXiv 2205.02399) gates every distiller. No loss knows of gates. Connectors stand before this:
    a BN in one of them sees the whole batch.

    Args:
        compare: The loss, a function of both features and the context.
        subset: Whether it compares samples with each other (or remembers them), so that those left out must be taken
            out of the features; otherwise their values are left out of the sum, which is the same.
        student: ``[B, ...]``, or a tuple of such.
        teacher: The same.
        context: What is known of the samples, ``[B, ...]`` by name.
        gate: ``[B]``, True for the samples that are distilled.

    Returns:
        ``[B]``, or a scalar where ``subset``. With no sample selected it is zero, and connected to the graph.
    """
    if not subset:
        values = compare(student, teacher, context)
        return torch.where(gate, values, torch.zeros_like(values))
    chosen = gate.nonzero()[:, 0]
    value = compare(_select(student, chosen), _select(teacher, chosen),
                    {name: known[chosen] for name, known in (context or {}).items()})
    # A loss that gives one value a sample was called for the sake of a memory; it may have been given none.
    return (value.sum() if value.dim() else value * len(chosen)) / len(gate)


def _select(feature: Feature, chosen: Tensor) -> Feature:
    selected = tuple(part[chosen] for part in parts(feature))
    return selected[0] if isinstance(feature, Tensor) else selected
