"""Losses that compare features up to the scale and the mean of each channel."""

import math

from torch import Tensor
from torch.linalg import vector_norm

from skd_mm.registry import LOSSES

from .base import RelationalLoss, mean_of_selected, require_maps


@LOSSES.register_module()
class PKDLoss(RelationalLoss):
    """Feature distillation via the Pearson correlation: each channel is standardised over the batch.

    ``L = 1/2 · mean over (B, C, H, W) of (f̂_S - f̂_T)^2`` with ``f̂ = (f - mean) / (std + 1e-6)``, mean and unbiased
    standard deviation of each channel over the batch and all positions. This is ``1 - r`` with Pearson's correlation
    ``r`` of each channel, so it is in [0, 2] whatever the scale of the features. Cao et al., PKD, arXiv 2207.02039, and
    the authors' code. Their weights for detection are 6 to 10; there are no published ones for segmentation.

    The loss is relational because of the statistics of the batch; in a distributed run they are those of the process.
    With ``per_image`` they are those of the image, and the loss is ``[B]``.

    Args:
        per_image: Standardise over the positions of each image instead of those of the batch. Defaults to False.

    Example:
        >>> spots = [dict(student='decode_head.bottleneck', connector=dict(type='Conv1x1'), loss=dict(type='PKDLoss'))]
    """

    same_shape = True
    takes_selected = True
    minimum = 1

    def __init__(self, per_image: bool = False) -> None:
        super().__init__()
        self.relational = not per_image
        if per_image:
            self.minimum = 0  # an empty batch has an empty loss

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two batches of feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C, H, W]``.
            selected: ``[B]``, True for the images that are compared; all by default. Not with ``per_image``.

        Returns:
            A scalar; with ``per_image``, ``[B]``.

        Raises:
            ValueError: They are not maps of one resolution.
        """
        require_maps('PKDLoss', student, teacher)
        dims = (0, 2, 3) if self.relational else (2, 3)
        difference = _standardised(student, dims, selected) - _standardised(teacher, dims, selected)
        images = difference.square().flatten(1).mean(1) / 2
        return mean_of_selected(images, selected) if self.relational else images


def _standardised(feature: Tensor, dims: tuple[int, ...], selected: Tensor | None) -> Tensor:
    """``[B, C, H, W]`` to mean 0 and standard deviation 1 over some dimensions; zero for images not selected."""
    if selected is None:
        centred = feature - feature.mean(dims, keepdim=True)
        divisor: Tensor | float = max(math.prod(feature.shape[dim] for dim in dims) - 1, 1)**0.5
    else:
        count = selected.sum().to(feature.dtype) * feature.shape[2:].numel()
        mean = feature.sum(dims, keepdim=True) / count.clamp(min=1)
        centred = (feature - mean).masked_fill(~selected.view(-1, 1, 1, 1), 0)
        divisor = (count - 1).clamp(min=1).sqrt()
    # A norm and not a root: its gradient at zero is zero.
    std = vector_norm(centred, dim=dims, keepdim=True) / divisor
    # A constant channel becomes zero, and so must its gradient: 1 / eps would be a million.
    return (centred / (std + 1e-6)).masked_fill(std == 0, 0)
