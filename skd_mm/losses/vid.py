"""Losses that bound how much one network knows about the other."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .base import SpotLoss, shapes


@LOSSES.register_module()
class VIDLoss(SpotLoss):
    """Variational information distillation: how likely the teacher's feature is under the student's prediction of it.

    ``L_b = mean over (C, H, W) of ½ [(μ(f_S) - f_T)^2 / σ^2 + log σ^2]``, the negative log-likelihood of a Gaussian
    without its constant. Ahn et al., arXiv 1904.05835, the Gaussian observation model of Sec. 2, as a mean; SAKD (arXiv
    2205.02399), table row VID, at f1..fn, β = 1. Mean and variance come from the connector ``VarianceHead``.

    Example:
        >>> spots = [dict(student='backbone.layer3', loss=dict(type='VIDLoss'), connector=dict(type='VarianceHead'))]
    """

    same_shape = False

    def compare(self, student: tuple[Tensor, Tensor], teacher: Tensor) -> Tensor:
        """Discriminators a prediction.

        Args:
            student: Mean ``[B, C, H, W]`` and variance ``[B, C, 1, 1]`` (or any shape that broadcasts), positive.
            teacher: ``[B, C, H, W]``.

        Returns:
            ``[B]``; it may be negative.

        Raises:
            ValueError: There is no variance, or the mean's shape is not the teacher's.
        """
        if not isinstance(student, tuple) or len(student) != 2:
            raise ValueError("VIDLoss needs a mean and a variance from the student's side: connector="
                             "dict(type='VarianceHead')")
        mean, variance = student
        if mean.shape != teacher.shape:
            raise ValueError(f'VIDLoss: the predicted mean is {shapes(mean)}, the other side {shapes(teacher)}; '
                             "dict(type='PoolToSmaller') on both sides bridges the resolution")
        return 0.5 * ((mean - teacher).square() / variance + variance.log()).flatten(1).mean(1)
