"""Losses that compare how the positions of an image relate to each other."""

from torch import Tensor
from torch.linalg import vector_norm
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss, require_maps, safe_normalize


@LOSSES.register_module()
class SKDSPairwiseLoss(SpotLoss):
    """Pair-wise distillation of structured knowledge distillation (SKDS): similarities between regions of an image.

    The maps are max-pooled to n regions; with the features of the regions, divided by their lengths, as columns of
    ``F̂`` (D × n) and ``A = F̂ᵀ F̂``: ``L_b = Σ_ij (A_T,ij - A_S,ij)^2 / n^2``. Liu et al., arXiv 1903.04197, Eq. 3,
    with the pooling of the authors' code. The numbers of channels may differ.

    - The authors pool with a kernel of half the map, 3 × 3 regions of a 65 × 65 map; they do not differentiate the
      length. Weight 0.5, at the output of the pyramid pooling. These are the defaults.
    - CIRKD's code (arXiv 2204.06986) has ``pool=2, detach_norm=False``, weight 10, at the last feature of the head.
      The similarities then take ``B·(H·W/4)^2`` floats per network: 16 MiB per image for 64 × 128.

    Args:
        pool: Size of the pooling's kernel and its stride: a number of positions, or a fraction below 1 of the map's
            sides, rounded down. A last, smaller region takes what is left. Defaults to 0.5.
        detach_norm: Treat the length of a feature as a constant in the backward pass. Defaults to True.

    Raises:
        ValueError: ``pool`` is not positive, or neither a fraction nor a whole number.

    Example:
        >>> spots = [dict(student='decode_head.bottleneck', loss=dict(type='SKDSPairwiseLoss'), weight=0.5)]
    """

    same_shape = False

    def __init__(self, pool: float = 0.5, detach_norm: bool = True) -> None:
        super().__init__()
        if isinstance(pool, bool) or not pool > 0 or (pool >= 1 and pool != int(pool)):
            raise ValueError('SKDSPairwiseLoss: `pool` must be a whole number of positions or a fraction between 0 and '
                             f'1, not {pool!r}')
        self.pool = pool
        self.detach_norm = detach_norm

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C', H, W]``.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are not maps of one resolution.
        """
        require_maps('SKDSPairwiseLoss', student, teacher)
        return (self._similarities(teacher) - self._similarities(student)).square().flatten(1).mean(1)

    def _similarities(self, feature: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, n, n]``."""
        kernel = [int(self.pool) if self.pool >= 1 else max(1, int(self.pool * side)) for side in feature.shape[2:]]
        regions = F.max_pool2d(feature, kernel, stride=kernel, ceil_mode=True).flatten(2)
        if self.detach_norm:
            length = vector_norm(regions, dim=1, keepdim=True).detach()
            # A dead region has no direction, and a gradient of 1e8 would be of no use.
            regions = (regions / (length + 1e-8)).masked_fill(length == 0, 0)
        else:
            regions = safe_normalize(regions, dim=1)
        return regions.transpose(1, 2) @ regions
