"""Connectors that change the resolution."""

from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class Resize(nn.Module):
    """Interpolation of a feature map to the resolution of its reference; the identity if they agree.

    Args:
        mode: A mode of ``torch.nn.functional.interpolate``. Defaults to ``'bilinear'``.
        in_channels: Not used; there so that every connector can be given both channel counts.
        out_channels: Not used.
    """

    def __init__(self, mode: str = 'bilinear', in_channels: int = 0, out_channels: int = 0) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Resize a feature map.

        Args:
            feature: ``[B, C, H, W]``.
            reference: ``[B, ?, H', W']``, whose resolution is taken.

        Returns:
            ``[B, C, H', W']``.
        """
        if feature.shape[2:] == reference.shape[2:]:
            return feature
        align = False if self.mode in ('bilinear', 'bicubic') else None
        return F.interpolate(feature, size=reference.shape[2:], mode=self.mode, align_corners=align)
