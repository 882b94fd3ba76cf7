"""The U-Net decoder of SKD as a decode head."""

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
    """One step up: nearest x2, concatenation with the encoder's feature, two Conv3x3-BN-ReLU.

    Args:
        in_channels: Channels from below.
        skip_channels: Channels of the encoder's feature; 0 for a block that gets none.
        out_channels: Channels of the output.
        norm_cfg: Normalisation layer.
        act_cfg: Activation.
        conv_cfg: Convolution layer. Default: None, a plain ``Conv2d``.
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
        """Decodes one level.

        Args:
            x: Feature from below, ``[B, in_channels, h, w]``.
            skip: Feature of the encoder, ``[B, skip_channels, 2h, 2w]``, or None.

        Returns:
            ``[B, out_channels, 2h, 2w]``, behind the ReLU.

        Raises:
            ValueError: If the feature of the encoder has not twice the size.
        """
        x = F.interpolate(x, scale_factor=2, mode='nearest')
        if skip is not None:
            if x.shape[2:] != skip.shape[2:]:
                raise ValueError(f'UNetHead: a feature of {tuple(x.shape[2:])} meets an encoder feature of '
                                 f'{tuple(skip.shape[2:])}; the sides of the input must be divisible by 32: set '
                                 'data_preprocessor=dict(size_divisor=32, test_cfg=dict(size_divisor=32))')
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


@MODELS.register_module()
class UNetHead(BaseDecodeHead):
    """U-Net decoder without a centre block, as in SKD (arXiv 1911.06786, section 2 of the method's notes).

    ``blocks.0`` takes the deepest feature; every block doubles the size and all but the last concatenate the encoder's
    feature of that size. ``conv_seg`` is a 3x3 convolution with bias on the last block's output, at the input's full
    resolution; there is no dropout. The output of ``blocks.i`` is the feature behind the block's last ReLU, and nothing
    writes into it afterwards.

    With a ResNet encoder of width 1 the blocks have 2,360,320 / 590,336 / 147,712 / 46,208 / 6,976 parameters, and
    ``conv_seg`` with 12 classes 1,740.

    Args:
        num_classes: Number of classes.
        width: Factor on all channels below. Default: 1.
        in_channels: Channels of the encoder's five features, finest first (they are *not* scaled). Default: None, those
            of :class:`skd_mm.models.ResNet` at the same width (64, 64, 128, 256, 512 times ``width``).
        in_index: Which of the backbone's outputs they are. Default: as many as ``in_channels``, from 0 on.
        block_channels: Channels of the blocks at width 1, deepest first. Default: (256, 128, 64, 32, 16).
        norm_cfg: Normalisation layer. Default: ``dict(type='BN', requires_grad=True)``.
        init_cfg: Weight initialisation. Default: Kaiming uniform (fan-in) in the blocks, Xavier uniform in
            ``conv_seg``, as in the U-Net that the paper's code builds on.
        **kwargs: Further arguments of mmsegmentation's ``BaseDecodeHead`` (``loss_decode``, ``ignore_index`` ..).

    Raises:
        ValueError: If the numbers of features and blocks differ, or the width leaves no whole number of channels.
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
            raise ValueError(f'UNetHead: in_channels={tuple(in_channels)} are {len(in_channels)} features for '
                             f'{len(block_channels)} blocks, block_channels={tuple(block_channels)}; give as many')
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
        below, *skips = reversed(in_channels)
        # A plain ModuleList: mmengine would let each ConvModule initialise itself over what init_cfg has set.
        self.blocks = nn.ModuleList()
        for skip, channels in zip([*skips, 0], out_channels, strict=True):
            self.blocks.append(UNetBlock(below, skip, channels, self.norm_cfg, self.act_cfg, self.conv_cfg))
            below = channels

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Decodes the encoder's features.

        Args:
            inputs: The backbone's features; those of ``in_index`` are ``[B, C_i, H / 2^(i+1), W / 2^(i+1)]``.

        Returns:
            Logits, ``[B, num_classes, H, W]``.

        Raises:
            ValueError: If ``H`` or ``W`` is not divisible by 32.
        """
        x, *skips = reversed(self._transform_inputs(inputs))
        for block, skip in zip(self.blocks, [*skips, None], strict=True):
            x = block(x, skip)
        return self.cls_seg(x)
