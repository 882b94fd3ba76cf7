"""Connectors that generate one network's feature from a part of the other's."""

import torch
from torch import Tensor, nn

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class MaskedGenerator(nn.Module):
    """Masked generative distillation (MGD): the reference's feature map, generated from the visible positions.

    ``G(M · A(f))`` with a 1×1 convolution ``A`` to the reference's channels, left out if they are equal, a mask ``M``
    that zeroes all channels of a position with probability ``mask_ratio``, drawn for every image and training step, and
    ``G``: 3×3 convolution, ReLU, 3×3 convolution. Yang et al., arXiv 2205.01529, Sec. 3.1, and the authors' code.
    Nothing is masked in eval mode.

    The loss is taken at all positions: ``MSELoss(reduction='sum')`` with weight 2e-5 is the authors' for segmentation,
    at the end of the backbone; their configs add CWD at the logits (T = 4, weight 3). As the sum grows with the crop,
    2e-5 equals 168 on the mean for 2048 × 64 × 64 values.

    ``G`` is expensive: 75.5 million parameters and 309 GMAC per image for 2048 × 64 × 64 values, several times the
    student's forward pass. ``width`` narrows it to 1×1, 3×3 and 1×1 convolutions with a ReLU between them, 1.6 million
    parameters and 6.7 GMAC at width 256; this is an extension.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
        mask_ratio: Probability that a position is masked. Defaults to 0.75.
        width: Channels between the convolutions of a narrow ``G``. Defaults to None, the published ``G``.

    Raises:
        ValueError: The ratio is not in [0, 1), or the width not positive.

    Example:
        >>> spots = [dict(student='backbone.layer4', connector=dict(type='MaskedGenerator'), weight=2e-5,
        ...               loss=dict(type='MSELoss', reduction='sum')),
        ...          dict(student='decode_head.conv_seg', loss=dict(type='CWDLoss', temperature=4), weight=3)]
    """

    def __init__(self, in_channels: int, out_channels: int, mask_ratio: float = 0.75, width: int | None = None) -> None:
        super().__init__()
        if not 0 <= mask_ratio < 1:
            raise ValueError(f'MaskedGenerator: `mask_ratio` must be in [0, 1), not {mask_ratio!r}')
        if width is not None and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
            raise ValueError(f'MaskedGenerator: `width` must be a positive whole number or None, not {width!r}')
        self.mask_ratio = mask_ratio
        self.align: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.align = nn.Conv2d(in_channels, out_channels, 1)
        if width is None:
            layers = [nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.ReLU(inplace=True),
                      nn.Conv2d(out_channels, out_channels, 3, padding=1)]
        else:
            layers = [nn.Conv2d(out_channels, width, 1), nn.ReLU(inplace=True),
                      nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(width, out_channels, 1)]
        self.generator = nn.Sequential(*layers)

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Generate the reference.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, out_channels, H, W]``.
        """
        feature = self.align(feature)
        if self.training and self.mask_ratio > 0:
            batch, _, height, width = feature.shape
            feature = feature * (torch.rand(batch, 1, height, width, device=feature.device) <= 1 - self.mask_ratio)
        return self.generator(feature)
