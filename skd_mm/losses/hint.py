"""Losses that compare features value by value."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .base import SpotLoss


@LOSSES.register_module()
class MSELoss(SpotLoss):
    """Mean squared error, the loss of SKD's and SSKD's stages.

    ``L_b = mean over (C, H, W) of (f_S - f_T)^2``; SKD (arXiv 1911.06786), the stage loss, with the mean over the
    batch taken by the distiller. Behind the connector ``ConvReg`` it is FitNets' hint loss (Romero et al., arXiv
    1412.6550, Eq. 3; SAKD's table: FitNet, at f2, β = 1).

    Example:
        >>> spots = [dict(student='backbone.layer1', loss=dict(type='MSELoss'))]
        >>> fitnet = [dict(student='backbone.layer2', connector=dict(type='ConvReg'))]
    """

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compares two features of the same shape.

        Args:
            student: ``[B, ...]``.
            teacher: ``[B, ...]``.

        Returns:
            ``[B]``.
        """
        # Feature maps are compared in float32: bfloat16 has 8 bits, and a converged stage differs by less than that.
        return (student - teacher).square().flatten(1).mean(1)
