"""Wide ResNets for 32x32 images."""

from collections import OrderedDict
from collections.abc import Sequence

from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from torch import Tensor, nn

from skd_mm.registry import MODELS

from .staged import StagedBackbone


class PreActBlock(nn.Module):
    """A pre-activation block: (BN-ReLU-)Conv3x3-BN-ReLU-Conv3x3, plus the input.

    If the number of channels changes, both the convolutions and the 1x1 shortcut read the activated input. The
    activation then is part of the previous layer, and the block has none of its own.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution (and the shortcut).
        conv_cfg: Convolution layer. None is a plain ``Conv2d``.
        norm_cfg: Normalisation layer.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, conv_cfg: dict | None,
                 norm_cfg: dict) -> None:
        super().__init__()
        self.preact: nn.Module | None = None
        self.shortcut: nn.Module | None = None
        if in_channels == out_channels:
            self.preact = _activation(in_channels, norm_cfg)
        else:
            self.shortcut = build_conv_layer(conv_cfg, in_channels, out_channels, 1, stride=stride, bias=False)
        self.conv1 = build_conv_layer(conv_cfg, in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.act = _activation(out_channels, norm_cfg)
        self.conv2 = build_conv_layer(conv_cfg, out_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block.

        Args:
            x: ``[B, in_channels, H, W]``.

        Returns:
            ``[B, out_channels, H / stride, W / stride]``, without an activation.
        """
        out = x if self.preact is None else self.preact(x)
        out = self.conv2(self.act(self.conv1(out)))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return out + shortcut


def _activation(channels: int, norm_cfg: dict) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(bn=build_norm_layer(norm_cfg, channels)[1], relu=build_activation_layer(dict(type='ReLU'))))


@MODELS.register_module()
class WideResNet(StagedBackbone):
    """WRN-16-1, 16-2, 40-1, 40-2 ... for 32x32 images (Zagoruyko and Komodakis, arXiv 1605.07146).

    BN and ReLU before the first block of a layer are part of the previous layer. The function and the parameters are
    those of the paper, but the features are post-ReLU as in all other networks of this package:

    - ``layer1`` .. ``layer3`` return the input of the next layer, after BN and ReLU.
    - ``layer1.blocks`` .. ``layer3.blocks`` return the sums before them, the features in the code of CRD (arXiv
      1910.10699) and SAKD (arXiv 2205.02399).
    - ``stem`` is the first convolution with BN and ReLU; without them at ``widen_factor=1``, as the first block then
      has an identity shortcut and its own BN and ReLU.

    ===========  =======================  =======  ========================
    network      ``layer1``..``layer3``   pooled   parameters (100 classes)
    ===========  =======================  =======  ========================
    16-1 / 40-1  16@32, 32@16, 64@8       64       .181 / .570 M
    16-2 / 40-2  32@32, 64@16, 128@8      128      .703 / 2.255 M
    ===========  =======================  =======  ========================

    Args:
        depth: 6n + 4, with n blocks per layer.
        widen_factor: Integer factor on the channels of the layers (16, 32, 64 at 1). Defaults to 1.
        out_indices: The outputs, 0 to 2 for ``layer1`` to ``layer3``. Defaults to the last, ``(2, )``.
        conv_cfg: Convolution layer. Defaults to None, a plain ``Conv2d``.
        norm_cfg: Normalisation layer. Defaults to ``dict(type='BN')``.
        init_cfg: Weight initialisation. Defaults to Kaiming normal (fan-out) for convolutions, 1 for BN.

    Raises:
        ValueError: The depth is not 6n + 4, the factor is not an integer, or an index is out of range.

    Examples:
        >>> net = WideResNet(depth=16, widen_factor=2, out_indices=(0, 1, 2))
        >>> [tuple(out.shape) for out in net(torch.rand(1, 3, 32, 32))]
        [(1, 32, 32, 32), (1, 64, 16, 16), (1, 128, 8, 8)]
    """

    def __init__(self,
                 depth: int,
                 widen_factor: int = 1,
                 out_indices: Sequence[int] = (2, ),
                 conv_cfg: dict | None = None,
                 norm_cfg: dict | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f'depth={depth!r} is not 6n + 4, as a WideResNet needs: 10, 16, 22, 28, 40 ...')
        if widen_factor < 1 or widen_factor != int(widen_factor):
            raise ValueError(f'widen_factor={widen_factor!r} is not a positive integer')
        layers = ('layer1', 'layer2', 'layer3')
        super().__init__(('stem', *layers), layers, out_indices, init_cfg)
        self.depth = depth
        self.widen_factor = widen_factor
        norm_cfg = norm_cfg or dict(type='BN')
        widths = [16 * int(widen_factor) << level for level in range(3)]
        channels = 16
        self.stem = nn.Sequential(
            OrderedDict(conv=build_conv_layer(conv_cfg, 3, channels, 3, padding=1, bias=False)))
        if channels != widths[0]:
            self.stem.append(_activation(channels, norm_cfg))
        for name, width, stride in zip(layers, widths, (1, 2, 2), strict=True):
            blocks = nn.Sequential()
            for index in range((depth - 4) // 6):
                blocks.append(PreActBlock(channels, width, 1 if index else stride, conv_cfg, norm_cfg))
                channels = width
            self.add_module(name, nn.Sequential(OrderedDict(blocks=blocks, act=_activation(channels, norm_cfg))))
