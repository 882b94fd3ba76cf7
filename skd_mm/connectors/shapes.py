"""Connector settings that follow from the shapes of features."""

from torch import Tensor


def channels(feature: Tensor) -> int:
    """Return the number of channels of a feature: the last dimension of tokens ``[B, N, C]``, else the second."""
    return feature.shape[2] if feature.dim() == 3 else feature.shape[1]


def scale(feature: Tensor, reference: Tensor) -> float:
    """Return the factor between two resolutions if one convolution bridges it: 2, 0.5 or 1; else 1.

    Args:
        feature: ``[B, C, H, W]``; 1 for anything else.
        reference: ``[B, C', H', W']``.

    Returns:
        2 or 0.5 if height and width have that ratio, else 1.
    """
    if feature.dim() != 4 or reference.dim() != 4:
        return 1
    ratios = {size / other for size, other in zip(feature.shape[2:], reference.shape[2:], strict=True)}
    ratio = ratios.pop()
    return ratio if not ratios and ratio in (2, 0.5) else 1
