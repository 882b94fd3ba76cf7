"""U-Net decoder of SKD as a decode head."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from skd_mm.registry import MODELS

from ..widths import scale_channels


class UNetBlock(nn.Module):
    """One decoder level: nearest upsampling by 2, concatenation with the encoder's feature, two Conv3x3-BN-ReLU.

    Args:
        in_channels: Channels of the deeper level.
        skip_channels: Channels of the encoder's feature; 0 for a block without one.
        out_channels: Channels of the output.
        norm_cfg: Normalisation layer.
        act_cfg: Activation.
        conv_cfg: Convolution layer. Defaults to None, a plain ``Conv2d``.
    """

    def __init__(self,
                 in_channels: int,
                 skip_channels: int,
                 out_channels: int,
                 norm_cfg: dict,
                 act_cfg: dict,
                 conv_cfg: dict | None = None) -> None:
        super().__init__()
        common = dict(kernel_size=3, padding=1, bias=False, conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.conv1 = ConvModule(in_channels + skip_channels, out_channels, **common)
        self.conv2 = ConvModule(out_channels, out_channels, **common)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Decode one level.

        Args:
            x: Feature of the deeper level, ``[B, in_channels, h, w]``.
            skip: Feature of the encoder, ``[B, skip_channels, 2h, 2w]``. Defaults to None.

        Returns:
            ``[B, out_channels, 2h, 2w]``, after the ReLU.

        Raises:
            ValueError: The feature of the encoder does not have twice the size.
        """
        x = F.interpolate(x, scale_factor=2, mode='nearest')
        if skip is not None:
            if x.shape[2:] != skip.shape[2:]:
                raise ValueError(f'UNetHead: a feature of size {tuple(x.shape[2:])} cannot be concatenated with an '
                                 f'encoder feature of size {tuple(skip.shape[2:])}; the sides of the input must be '
                                 'divisible by 32: set data_preprocessor=dict(size_divisor=32, '
                                 'test_cfg=dict(size_divisor=32))')
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


@MODELS.register_module()
class UNetHead(BaseDecodeHead):
    """U-Net decoder without a centre block, as in SKD (arXiv 1911.06786).

    The input of ``blocks.0`` is the deepest feature. Every block doubles the size, and all but the last concatenate the
    encoder's feature of that size. ``conv_seg`` is a 3x3 convolution with bias on the last block's output, at the full
    resolution of the input; there is no dropout. The output of ``blocks.i`` is the feature after the block's last ReLU,
    and no later module changes it.

    With a ResNet encoder of width 1 the blocks have 2,360,320 / 590,336 / 147,712 / 46,208 / 6,976 parameters, and
    ``conv_seg`` with 12 classes 1,740.

    Args:
        num_classes: Number of classes.
        width: Factor on all channels below. Defaults to 1.
        in_channels: Channels of the encoder's five features, finest first (they are *not* scaled). Defaults to None,
            those of :class:`skd_mm.models.ResNet` at the same width (64, 64, 128, 256, 512 times ``width``).
        in_index: Indices of the backbone's outputs. Defaults to None, the first ``len(in_channels)``.
        block_channels: Channels of the blocks at width 1, deepest first. Defaults to (256, 128, 64, 32, 16).
        norm_cfg: Normalisation layer. Defaults to ``dict(type='BN', requires_grad=True)``.
        init_cfg: Weight initialisation. Defaults to Kaiming uniform (fan-in) in the blocks and Xavier uniform in
            ``conv_seg``, as in the U-Net of the paper's code.
        **kwargs: Further arguments of mmsegmentation's ``BaseDecodeHead`` (``loss_decode``, ``ignore_index`` ..).

    Raises:
        ValueError: The numbers of features and blocks differ, or the width gives a fractional number of channels.
    """

    def __init__(self,
                 num_classes: int,
                 width: float = 1.0,
                 in_channels: Sequence[int] | None = None,
                 in_index: Sequence[int] | None = None,
                 block_channels: Sequence[int] = (256, 128, 64, 32, 16),
                 norm_cfg: dict | None = None,
                 init_cfg: dict | list[dict] | None = None,
                 **kwargs: Any) -> None:
        if in_channels is None:
            in_channels = [scale_channels(channels, width) for channels in (64, 64, 128, 256, 512)]
        if len(in_channels) != len(block_channels):
            raise ValueError(f'UNetHead: in_channels={tuple(in_channels)} has {len(in_channels)} features, but '
                             f'block_channels={tuple(block_channels)} has {len(block_channels)} blocks')
        out_channels = [scale_channels(channels, width) for channels in block_channels]
        super().__init__(
            in_channels=list(in_channels),
            channels=out_channels[-1],
            num_classes=num_classes,
            in_index=list(in_index if in_index is not None else range(len(in_channels))),
            input_transform='multiple_select',
            dropout_ratio=kwargs.pop('dropout_ratio', 0),
            norm_cfg=norm_cfg or dict(type='BN', requires_grad=True),
            init_cfg=init_cfg or [
                dict(type='Kaiming', layer='Conv2d', distribution='uniform', mode='fan_in'),
                dict(type='Constant', layer=['_BatchNorm', 'GroupNorm'], val=1),
                dict(type='Xavier', distribution='uniform', override=dict(name='conv_seg')),
            ],
            **kwargs)
        self.conv_seg = nn.Conv2d(self.channels, self.out_channels, kernel_size=3, padding=1)
        deepest, *skips = reversed(in_channels)
        # A plain ModuleList: with MMEngine's, each ConvModule would overwrite the initialisation by init_cfg.
        self.blocks = nn.ModuleList()
        before = deepest
        for skip, channels in zip([*skips, 0], out_channels, strict=True):
            self.blocks.append(UNetBlock(before, skip, channels, self.norm_cfg, self.act_cfg, self.conv_cfg))
            before = channels

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decode the encoder's features.

        Args:
            inputs: The backbone's features; those selected by ``in_index`` are
                ``[B, C_i, H / 2^(i+1), W / 2^(i+1)]``.

        Returns:
            Logits, ``[B, num_classes, H, W]``.

        Raises:
            ValueError: ``H`` or ``W`` is not divisible by 32.
        """
        x, *skips = reversed(self._transform_inputs(inputs))
        for block, skip in zip(self.blocks, [*skips, None], strict=True):
            x = block(x, skip)
        return self.cls_seg(x)
