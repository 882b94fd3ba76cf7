"""Connectors that pool features."""

from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.registry import CONNECTORS


def pooled(feature: Tensor) -> Tensor:
    """Average a feature over its positions.

    Args:
        feature: ``[B, C, ...]``, or tokens ``[B, N, C]``.

    Returns:
        ``[B, C]``.
    """
    if feature.dim() == 3:
        return feature.mean(1)
    return feature if feature.dim() == 2 else feature.flatten(2).mean(2)


@CONNECTORS.register_module()
class PoolToSmaller(nn.Module):
    """Average pooling of a feature map to the resolution of its reference, along each axis where the map is finer.

    On both sides of a spot, it pools both features to the coarser resolution, whichever network has it. This is
    how the benchmark that SAKD (arXiv 2205.02399) is built on compares maps in AT, NST, FT and VID.

    Args:
        in_channels: Not used; there so that every connector can be given both channel counts.
        out_channels: Not used.

    Example:
        >>> pool = dict(type='PoolToSmaller')
        >>> spot = dict(student='backbone.layer2', connector=pool, teacher_connector=pool, loss=dict(type='ATLoss'))
    """

    def __init__(self, in_channels: int = 0, out_channels: int = 0) -> None:
        super().__init__()

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Pool a feature map.

        Args:
            feature: ``[B, C, H, W]``.
            reference: ``[B, ?, H', W']``.

        Returns:
            ``[B, C, min(H, H'), min(W, W')]``; the feature itself if it is not finer.
        """
        size = min(feature.shape[2], reference.shape[2]), min(feature.shape[3], reference.shape[3])
        return feature if feature.shape[2:] == size else F.adaptive_avg_pool2d(feature, size)


@CONNECTORS.register_module()
class GlobalPool(nn.Module):
    """Global average pooling of a feature map, for losses on pooled features (RKD, PKT).

    Args:
        in_channels: Not used; there so that every connector can be given both channel counts.
        out_channels: Not used.
    """

    def __init__(self, in_channels: int = 0, out_channels: int = 0) -> None:
        super().__init__()

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Pool a feature.

        Args:
            feature: ``[B, C, ...]``, or tokens ``[B, N, C]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, C]``.
        """
        return pooled(feature)
