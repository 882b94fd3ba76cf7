"""VGGs for 32x32 images."""

from collections.abc import Sequence

from mmpretrain.models.backbones import VGG
from mmpretrain.models.backbones.vgg import make_vgg_layer
from torch import nn

from skd_mm.registry import MODELS

from .staged import StagedBackbone


@MODELS.register_module()
class CIFARVGG(StagedBackbone):
    """VGG-8/11/13/16/19 with BN for 32x32 images, as CRD (arXiv 1910.10699) and SAKD (arXiv 2205.02399) use them.

    They have three pooling layers instead of the five of VGG (arXiv 1409.1556), and no hidden linear layers: global
    pooling and a linear classifier follow. The convolutions (with bias, as in mmpretrain's VGG) of one resolution form
    a module: ``stem`` (64@32), then ``layer1`` (128@16), ``layer2`` (256@8), ``layer3`` and ``layer4`` (512@4 both),
    each of which begins with its pooling and ends with a ReLU.

    With 100 classes VGG-8/11/13/16/19 have 3.965 / 9.277 / 9.462 / 14.774 / 20.087 M parameters.

    Args:
        depth: 8, 11, 13, 16 or 19.
        out_indices: The outputs, 0 for the stem, 1 to 4 for ``layer1`` to ``layer4``. Defaults to the last, ``(4, )``.
        num_pools: Number of layers that begin with a pooling. Defaults to 3; the code of CRD and SAKD has 4 for 64x64
            images.
        conv_cfg: Convolution layer. Defaults to None, a plain ``Conv2d``.
        norm_cfg: Normalisation layer. Defaults to ``dict(type='BN')``.
        init_cfg: Weight initialisation. Defaults to Kaiming normal (fan-out) for convolutions, 1 for BN.

    Raises:
        ValueError: The depth is unknown or an index out of range.

    Examples:
        >>> net = CIFARVGG(depth=8, out_indices=(1, 2, 3, 4))
        >>> [tuple(out.shape) for out in net(torch.rand(1, 3, 32, 32))]
        [(1, 128, 16, 16), (1, 256, 8, 8), (1, 512, 4, 4), (1, 512, 4, 4)]
    """

    arch_settings = {8: (1, 1, 1, 1, 1), **VGG.arch_settings}

    def __init__(self,
                 depth: int,
                 out_indices: Sequence[int] = (4, ),
                 num_pools: int = 3,
                 conv_cfg: dict | None = None,
                 norm_cfg: dict | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        if depth not in self.arch_settings:
            raise ValueError(f'depth={depth!r} is not a VGG; the depths are {sorted(self.arch_settings)}')
        stages = ('stem', 'layer1', 'layer2', 'layer3', 'layer4')
        super().__init__(stages, stages, out_indices, init_cfg)
        self.depth = depth
        before = 3
        for level, (name, count) in enumerate(zip(stages, self.arch_settings[depth], strict=True)):
            channels = min(64 << level, 512)
            *layers, pool = make_vgg_layer(before, channels, count, conv_cfg, norm_cfg or dict(type='BN'))
            # mmpretrain pools after the convolutions. Here a layer begins with it, so that its output is not pooled.
            if 1 <= level <= num_pools:
                layers = [pool, *layers]
            self.add_module(name, nn.Sequential(*layers))
            before = channels
