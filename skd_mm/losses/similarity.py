"""Losses that compare how the samples of a batch relate to each other in the two networks."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import RelationalLoss, mean_of_selected, safe_normalize, shapes


@LOSSES.register_module()
class SPLoss(RelationalLoss):
    """Similarity preservation: samples that excite one network alike should excite the other alike.

    ``L = ||R(F_T F_Tᵀ) - R(F_S F_Sᵀ)||_F^2 / n^2`` with the features as rows of ``F``, and ``R`` giving each row
    length 1. Tung and Mori, arXiv 1907.09682, Eq. 2 to 4; SAKD (arXiv 2205.02399), table row SP, last stage, β = 3000.
    The features may differ in everything but the batch.

    Example:
        >>> spots = [dict(student='backbone.layer4', loss=dict(type='SPLoss'))]
    """

    takes_selected = True

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two batches.

        Args:
            student: ``[B, ...]``.
            teacher: ``[B, ...]``.
            selected: ``[B]``, True for the samples that are compared; all by default.

        Returns:
            A scalar.
        """
        return mean_of_selected((_similarity_rows(teacher) - _similarity_rows(student)).square(), selected, 2)


@LOSSES.register_module()
class PKTLoss(RelationalLoss):
    """Probabilistic knowledge transfer: the probability with which one sample is another one's neighbour.

    ``L = mean over (i, j) of p_T log((p_T + ε) / (p_S + ε))``, ε = 1e-7, where ``p`` is ``(cos + 1) / 2`` between the
    samples' features, each row divided by its sum. Passalis and Tefas, arXiv 1803.10837, Sec. 3, with the cosine
    kernel; a mean over all pairs, with each sample as its own neighbour, as in SAKD (arXiv 2205.02399), table row PKT,
    pooled features, β = 30000.

    Example:
        >>> pool = dict(type='GlobalPool')
        >>> spots = [dict(student='backbone.layer4', connector=pool, teacher_connector=pool, loss=dict(type='PKTLoss'))]
    """

    takes_selected = True
    eps = 1e-7

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two batches.

        Args:
            student: ``[B, ...]``.
            teacher: ``[B, ...]``.
            selected: ``[B]``, True for the samples that are compared; all by default.

        Returns:
            A scalar.
        """
        p_student, p_teacher = self._neighbours(student, selected), self._neighbours(teacher, selected)
        divergence = p_teacher * ((p_teacher + self.eps) / (p_student + self.eps)).log()
        return mean_of_selected(divergence, selected, 2)

    def _neighbours(self, feature: Tensor, selected: Tensor | None = None) -> Tensor:
        """``[B, ...]`` to ``[B, B]``, rows that sum to 1, or to 0 for samples that are not selected."""
        rows = safe_normalize(feature.flatten(1), dim=1)
        # Rounding makes a cosine less than -1, and a probability less than 0.
        kernel = ((rows @ rows.t() + 1) / 2).clamp(min=0)
        if selected is None:
            return kernel / kernel.sum(1, keepdim=True)
        kernel = kernel.masked_fill(~_pairs(selected), 0)
        return kernel / kernel.sum(1, keepdim=True).masked_fill(~selected[:, None], 1)


@LOSSES.register_module()
class CCLoss(RelationalLoss):
    """Correlation congruence, in the form its authors gave to the benchmark that SAKD is built on.

    ``L = mean over i of Σ_d Δ_i,d · Δ_i+1,d`` with ``Δ = |e_S - e_T|``: the deviations of consecutive samples of the
    batch must not agree. Peng et al., arXiv 1904.01802, Sec. 3, compare correlation matrices instead; SAKD (arXiv
    2205.02399), table row CC, β = .02, has this form, on embeddings of the pooled features, which the connector
    ``Embed`` makes on both sides.

    Example:
        >>> embed = dict(type='Embed')
        >>> spots = [dict(student='neck', connector=embed, teacher_connector=embed, loss=dict(type='CCLoss'))]
    """

    takes_selected = True

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two batches.

        Args:
            student: ``[B, D]``, in the order of the batch.
            teacher: ``[B, D]``.
            selected: ``[B]``, True for the samples that are compared, which come first; all by default.

        Returns:
            A scalar.

        Raises:
            ValueError: The two embeddings differ in shape.
        """
        if student.shape != teacher.shape:
            raise ValueError(f'CCLoss compares embeddings of one size, not {shapes(student)} and {shapes(teacher)}: '
                             "put dict(type='Embed') on both sides, as `connector` and as `teacher_connector`")
        deviation = (student - teacher).abs().flatten(1)
        return mean_of_selected((deviation[:-1] * deviation[1:]).sum(1), None if selected is None else selected[1:])


@LOSSES.register_module()
class RKDLoss(RelationalLoss):
    """Relational knowledge distillation: distances between samples, and angles of triples of them.

    ``L = w_d · mean over (i, j) of h(d_S, d_T) + w_a · mean over (i, j, k) of h(a_S, a_T)`` with the smooth L1 loss
    ``h``, the distances ``d`` divided by their mean over the pairs that are distinct, and ``a_ijk`` the cosine of the
    angle at ``i`` between ``j`` and ``k``. Park et al., arXiv 1904.05068, Sec. 3.2.1 and 3.2.2; SAKD (arXiv
    2205.02399), table row RKD, pooled features, β = 1. Samples that coincide have distance and angles 0, with a zero
    gradient.

    Args:
        distance: The weight ``w_d``. Defaults to 25.
        angle: The weight ``w_a``. Defaults to 50.

    Example:
        >>> pool = dict(type='GlobalPool')
        >>> spots = [dict(student='backbone.layer4', connector=pool, teacher_connector=pool, loss=dict(type='RKDLoss'))]
    """

    takes_selected = True

    def __init__(self, distance: float = 25.0, angle: float = 50.0) -> None:
        super().__init__()
        self.distance = distance
        self.angle = angle

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two batches.

        Args:
            student: ``[B, ...]``; memory grows with ``B^2`` times the size of a feature, and with ``B^3``.
            teacher: ``[B, ...]``.
            selected: ``[B]``, True for the samples that are compared; all by default.

        Returns:
            A scalar.
        """
        d_student, a_student = _distances_and_angles(student, selected)
        d_teacher, a_teacher = _distances_and_angles(teacher, selected)
        distance = F.smooth_l1_loss(d_student, d_teacher, reduction='none')
        angle = F.smooth_l1_loss(a_student, a_teacher, reduction='none')
        return (self.distance * mean_of_selected(distance, selected, 2)
                + self.angle * mean_of_selected(angle, selected, 3))


def _similarity_rows(feature: Tensor) -> Tensor:
    """``[B, ...]`` to ``[B, B]``, rows of length 1; a feature that is zero gives zeros."""
    rows = feature.flatten(1)
    return safe_normalize(rows @ rows.t(), dim=1)


def _distances_and_angles(feature: Tensor, selected: Tensor | None) -> tuple[Tensor, Tensor]:
    """``[B, ...]`` to mean-normed distances ``[B, B]`` and cosines ``[B, B, B]``, zero where not all are selected."""
    rows = feature.flatten(1)
    # Differences, not inner products: those lose the distance of samples that are close together.
    difference = rows[None] - rows[:, None]
    if selected is not None:
        difference = difference.masked_fill(~_pairs(selected)[..., None], 0)
    # Where samples coincide the norm is zero, and its subgradient in PyTorch is too.
    distance = torch.linalg.vector_norm(difference, dim=2)
    distinct = (distance > 0).sum().clamp(min=1)
    mean = distance.sum() / distinct
    distance = distance / torch.where(mean > 0, mean, torch.ones_like(mean))
    direction = safe_normalize(difference, dim=2)
    return distance, direction @ direction.transpose(1, 2)


def _pairs(selected: Tensor) -> Tensor:
    """``[B]`` to ``[B, B]``, True if both samples are selected."""
    return selected & selected[:, None]
