"""MobileNetV2 for 32x32 images."""

from typing import Any

from mmpretrain.models.backbones import MobileNetV2
from torch import nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class CIFARMobileNetV2(MobileNetV2):
    """MobileNetV2 (arXiv 1801.04381) for 32x32 images, as CRD (arXiv 1910.10699) and SAKD (arXiv 2205.02399) use it.

    It differs from mmpretrain's as follows, like the code of those papers:

    - ``layer2`` keeps the resolution (stride 1), so ``layer2`` / ``3`` / ``5`` / ``7`` are 24@16, 32@8, 96@4, 320@2,
      and ``conv2`` is 1280@2.
    - ``layer1`` has an expanding convolution even at ratio 1. Without it, the network would have 1,088 parameters less
      than the reported 2.353 M (100 classes, ``widen_factor=1``).
    - Channels are truncated to ``int(c * widen_factor)``, not rounded to multiples of 8 (.813 M parameters at
      ``widen_factor=.5``).
    - ReLU replaces ReLU6.

    By design, the outputs of the layers have no ReLU: a layer ends with a linear convolution, or with a residual sum if
    shapes allow.

    Args:
        widen_factor: Factor on the channels, a multiple of .25. Defaults to 1.
        act_cfg: Activation. Defaults to ``dict(type='ReLU')``.
        **kwargs: Further arguments of mmpretrain's ``MobileNetV2``. Its ``out_indices`` 0 to 6 are ``layer1`` to
            ``layer7``; 7, the default, is ``conv2``.

    Raises:
        ValueError: The factor is not a multiple of .25.
    """

    # mmpretrain's block expands at any ratio but 1; with this one, rounding gives the same number of channels.
    arch_settings = [[1 + 1e-6, 16, 1, 1], [6, 24, 2, 1], *MobileNetV2.arch_settings[2:]]

    def __init__(self, widen_factor: float = 1.0, act_cfg: dict | None = None, **kwargs: Any) -> None:
        if widen_factor <= 0 or widen_factor % 0.25:
            raise ValueError(f'widen_factor={widen_factor!r} is not a multiple of 0.25')
        super().__init__(widen_factor=widen_factor, act_cfg=act_cfg or dict(type='ReLU'), **kwargs)

    def make_layer(self, out_channels: int, num_blocks: int, stride: int, expand_ratio: float) -> nn.Sequential:
        """Make the next layer as mmpretrain does, with ``out_channels`` truncated rather than rounded."""
        channels = self.arch_settings[len(self.layers)][1]
        return super().make_layer(int(channels * self.widen_factor), num_blocks, stride, expand_ratio)
