"""Three-stage ResNets for 32x32 images."""

from typing import Any

from mmpretrain.models.backbones import ResNet_CIFAR
from mmpretrain.models.backbones.resnet import BasicBlock

from skd_mm.registry import MODELS


@MODELS.register_module()
class CIFARResNet(ResNet_CIFAR):
    """ResNet-20/32/44/56/110 for 32x32 images (He et al., arXiv 1512.03385, section 4.2), and wider versions of them.

    It is mmpretrain's ``ResNet_CIFAR`` with three layers of equally many BasicBlocks instead of four. As in the code of
    CRD (arXiv 1910.10699) and SAKD (arXiv 2205.02399), a shortcut that changes the shape is a 1x1 convolution with BN
    (the original paper pads with zeros). ``backbone.stem`` is the output of the stem after its ReLU.

    ==============================  ====================  =========  =================
    network                         ``layer1``..``3``     pooled     parameters (100 classes)
    ==============================  ====================  =========  =================
    20 / 32 / 44 / 56 / 110         16@32, 32@16, 64@8    64         .278 / .473 / .667 / .862 / 1.737 M
    8x4 / 32x4                      64@32, 128@16, 256@8  256        1.234 / 7.434 M
    ==============================  ====================  =========  =================

    The "x4" networks have ``stem_channels=32`` (twice as many, not four times) and ``base_channels=64``.

    Args:
        depth: 6n + 2, with n blocks per layer.
        stem_channels: Channels of the first convolution. Defaults to 16.
        base_channels: Channels of ``layer1``; they double from layer to layer. Defaults to 16.
        zero_init_residual: Whether the last BN of each block starts at zero. Defaults to False, as in the authors'
            code.
        **kwargs: Further arguments of mmpretrain's ``ResNet_CIFAR``. Its ``out_indices`` count from ``layer1``, and
            default to the last layer, ``(2, )``.

    Raises:
        ValueError: The depth is not 6n + 2.

    Examples:
        >>> net = CIFARResNet(depth=20, out_indices=(0, 1, 2))
        >>> [tuple(out.shape) for out in net(torch.rand(1, 3, 32, 32))]
        [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]
    """

    arch_settings = {6 * n + 2: (BasicBlock, (n, n, n)) for n in range(1, 201)}

    def __init__(self,
                 depth: int,
                 stem_channels: int = 16,
                 base_channels: int = 16,
                 zero_init_residual: bool = False,
                 **kwargs: Any) -> None:
        if depth not in self.arch_settings:
            near = sorted(sorted(self.arch_settings, key=lambda known: abs(known - depth))[:2])
            raise ValueError(f'depth={depth!r} is not 6n + 2, as a CIFARResNet needs; {near[0]} and {near[1]} are')
        three_stages = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2, ))
        super().__init__(
            depth=depth,
            stem_channels=stem_channels,
            base_channels=base_channels,
            zero_init_residual=zero_init_residual,
            **{**three_stages, **kwargs})
