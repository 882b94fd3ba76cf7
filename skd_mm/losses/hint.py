"""Losses that compare features value by value."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .base import SpotLoss


@LOSSES.register_module()
class MSELoss(SpotLoss):
    """Mean squared error, the loss of SKD's and SSKD's stages.

    ``L_b = mean over (C, H, W) of (f_S - f_T)^2``; SKD (arXiv 1911.06786), the stage loss, with the mean over the
    batch taken by the distiller. After the connector ``ConvReg`` it is FitNets' hint loss (Romero et al., arXiv
    1412.6550, Eq. 3; SAKD's table: FitNet, at f2, β = 1). After ``Conv1x1(bias=False)`` at a segmentation head it is
    the feature term of CIRKD's FitNets baseline (arXiv 2204.06986, weight 10); after ``MaskedGenerator`` it is MGD's
    loss (arXiv 2205.01529, Eq. 4), which is a sum: its weight of 2e-5 needs ``reduction='sum'``.

    Args:
        reduction: ``'mean'`` over (C, H, W), or their ``'sum'``, which depends on the size of the crop. Defaults to
            ``'mean'``.

    Raises:
        ValueError: Another reduction.

    Example:
        >>> spots = [dict(student='backbone.layer1', loss=dict(type='MSELoss'))]
        >>> fitnet = [dict(student='backbone.layer2', connector=dict(type='ConvReg'))]
    """

    def __init__(self, reduction: str = 'mean') -> None:
        super().__init__()
        if reduction not in ('mean', 'sum'):
            raise ValueError(f"MSELoss: `reduction` must be 'mean' or 'sum', not {reduction!r}")
        self.reduction = reduction

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two features of the same shape.

        Args:
            student: ``[B, ...]``.
            teacher: ``[B, ...]``.

        Returns:
            ``[B]``.
        """
        # Feature maps are compared in float32: bfloat16 has 8 bits, and a converged stage differs by less than that.
        squared = (student - teacher).square().flatten(1)
        return squared.mean(1) if self.reduction == 'mean' else squared.sum(1)
