"""Losses that tell the two views of one image from those of other images."""

from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import RelationalLoss, mean_of_selected


@LOSSES.register_module()
class CRDLoss(RelationalLoss):
    """Contrastive representation distillation: noise-contrastive estimation over a memory of embeddings.

    Each side gives, for every sample, the log-odds ``x`` that a pair is the sample's own and not one of ``K`` drawn
    from the noise: ``x = s / τ - log Z - log K`` with the inner product ``s`` of an embedding and a row of the other
    network's memory. ``L = mean over the batch of Σ over the two sides of [-log σ(x_0) - Σ_k log σ(-x_k)]``. Tian,
    Krishnan and Isola, arXiv 1910.10699, Sec. 3.2, the critic loss, with the normalisation ``Z`` of the authors' code,
    kept as log-odds, so that nothing needs an eps; SAKD (arXiv 2205.02399), table row CRD, pooled features, β = .8.

    The embeddings come from the connector ``Embed``, the log-odds from the spot's memory
    (:class:`skd_mm.memories.ContrastMemory`). The loss counts as relational because of that memory: only samples that
    are distilled may be written to it.

    Example:
        >>> embed = dict(type='Embed', normalize=True)
        >>> spots = [dict(student='neck', loss=dict(type='CRDLoss'), connector=embed, teacher_connector=embed,
        ...               memory=dict(type='ContrastMemory', num_samples=50000))]
    """

    takes_selected = True
    minimum = 1

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare the log-odds of both sides with the truth.

        Args:
            student: ``[B, 1 + K]``, the student's embedding against the teacher's memory: first the pair that belongs
                together, then the others.
            teacher: ``[B, 1 + K]``, the teacher's embedding against the student's memory.
            selected: ``[B]``, True for the samples that count; all by default.

        Returns:
            A scalar.
        """
        estimation = _estimation(student) + _estimation(teacher)
        if selected is not None:
            estimation = estimation.masked_fill(~selected, 0)
        return mean_of_selected(estimation, selected)


def _estimation(odds: Tensor) -> Tensor:
    """``[B, 1 + K]`` to ``[B]``."""
    return -F.logsigmoid(odds[:, 0]) - F.logsigmoid(-odds[:, 1:]).sum(1)
