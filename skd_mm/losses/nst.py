"""Losses that compare which positions the single neurons select."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .base import SpotLoss, require_maps, safe_normalize


@LOSSES.register_module()
class NSTLoss(SpotLoss):
    """Neuron selectivity transfer: the distribution of the channels' activation patterns.

    The squared maximum mean discrepancy between the channels of the two layers with the kernel ``k(a, b) = (aᵀb)^2``,
    each channel being a vector over the positions of length 1:
    ``L_b = mean k(t, t') + mean k(s, s') - 2 mean k(s, t)``, the means over all pairs of channels. Huang and Wang,
    arXiv 1707.01219, Sec. 4, with the polynomial kernel (d = 2, c = 0); SAKD (arXiv 2205.02399), table row NST,
    at f1..fn, β = 50. The numbers of channels may differ.

    Example:
        >>> spots = [dict(student='backbone.layer3', loss=dict(type='NSTLoss'))]
    """

    same_shape = False

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C', H, W]``.

        Returns:
            ``[B]``, at least 0.

        Raises:
            ValueError: They are no maps, or of different resolutions.
        """
        require_maps('NSTLoss', student, teacher)
        student, teacher = safe_normalize(student.flatten(2), dim=2), safe_normalize(teacher.flatten(2), dim=2)
        return _mean_kernel(teacher, teacher) + _mean_kernel(student, student) - 2 * _mean_kernel(student, teacher)


def _mean_kernel(one: Tensor, other: Tensor) -> Tensor:
    """``[B, C, N]`` and ``[B, C', N]`` to ``[B]``: the mean of ``(aᵀb)^2`` over all pairs of channels."""
    return (one @ other.transpose(1, 2)).square().flatten(1).mean(1)
