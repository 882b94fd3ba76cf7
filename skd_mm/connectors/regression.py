"""Connectors that turn one network's feature map into the other's."""

from torch import Tensor, nn

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class ConvReg(nn.Module):
    """A regressor: a convolution from one network's channels and resolution to the other's, BN and ReLU.

    FitNets' regressor (Romero et al., arXiv 1412.6550, Sec. 2.2) as in the benchmark of CRD (Tian et al., arXiv
    1910.10699), which SAKD (arXiv 2205.02399) uses for FitNet and, in both directions, as adapters between the
    networks.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
        scale: Ratio of the feature's resolution to the reference's: 1 is a 1×1 convolution, 2 a 3×3 convolution with
            stride 2, 0.5 a 4×4 transposed convolution with stride 2. Filled in by the distiller if it is one of
            these, otherwise 1.
        relu: Whether a ReLU follows. Defaults to True.

    Raises:
        ValueError: Another scale, or, in :meth:`forward`, one that does not lead to the reference's resolution.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: float = 1, relu: bool = True) -> None:
        super().__init__()
        self.scale = scale
        self.conv: nn.Module
        if scale == 1:
            self.conv = nn.Conv2d(in_channels, out_channels, 1)
        elif scale == 2:
            self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        elif scale == 0.5:
            self.conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1)
        else:
            raise ValueError(f'ConvReg: `scale` must be 1, 2 or 0.5, not {scale!r}; another difference in resolution '
                             "needs dict(type='Resize') after it")
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Predict the reference.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: ``[B, ?, H', W']``, whose resolution must be reached; with ``scale=1`` any, so that a resize may
                follow.

        Returns:
            ``[B, out_channels, H', W']``.
        """
        result = self.conv(feature)
        if self.scale != 1 and result.shape[2:] != reference.shape[2:]:
            raise ValueError(f'ConvReg(scale={self.scale}) makes {list(result.shape[2:])} of '
                             f'{list(feature.shape[2:])}, but the other side is {list(reference.shape[2:])}')
        return self.relu(self.bn(result))
