"""BasicBlock ResNets of SKD, with the stem as an output."""

from collections.abc import Sequence
from typing import Any

from mmseg.models.backbones import ResNet as MMSegResNet
from mmseg.models.backbones.resnet import BasicBlock
from torch import Tensor

from skd_mm.registry import MODELS

from ..widths import scale_channels


@MODELS.register_module()
class ResNet(MMSegResNet):
    """ResNet-10/14/18/20/26/34 as in SKD (arXiv 1911.06786).

    It is mmsegmentation's ResNet with three differences: the depths (BasicBlocks throughout, so that teacher and
    student have equal channels at any two depths), the stem as an output, and a width factor. The parameters are named
    as in torchvision, so ImageNet weights load with
    ``init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet34')``. It works in mmpretrain's
    ``ImageClassifier`` as well.

    ========  ===============  ===================================
    depth     blocks           parameters at width 1, without a head
    ========  ===============  ===================================
    10        1, 1, 1, 1       4,905,792
    14        1, 1, 2, 2       10,807,104
    18        2, 2, 2, 2       11,176,512
    20        2, 2, 3, 2       12,357,184
    26        3, 3, 3, 3       17,447,232
    34        3, 4, 6, 3       21,284,672
    ========  ===============  ===================================

    Args:
        depth: One of the depths above.
        width: Factor on all channels (64/128/256/512 at 1). Defaults to 1.
        out_indices: The outputs: 0 is the stem after its ReLU and before the max-pooling (1/2 of the input's size), 1
            to 4 are ``layer1`` .. ``layer4`` (1/4, 1/8, 1/16, 1/32). Defaults to all five, as a U-Net needs them.
        in_channels: Channels of the image. Defaults to 3.
        num_stages: Number of layers. Defaults to 4.
        frozen_stages: As in mmsegmentation: -1 freezes nothing, 0 the stem, n the stem and the layers up to ``layern``.
            Defaults to -1.
        norm_cfg: Normalisation layer. Defaults to ``dict(type='BN', requires_grad=True)``.
        norm_eval: Whether BN stays in eval mode while training. Defaults to False.
        with_cp: Whether to recompute blocks in the backward pass to save memory. Defaults to False.
        zero_init_residual: Whether the last BN of each block starts at zero. Defaults to False, as in torchvision and
            in the paper's code.
        init_cfg: Weight initialisation. Defaults to Kaiming normal (fan-out) for convolutions, 1 for BN.
        **kwargs: Further arguments of mmsegmentation's ResNet (``strides``, ``dilations``, ``conv_cfg`` ..).

    Raises:
        ValueError: The depth is unknown, an index is out of range, or the width gives a fractional number of channels.

    Examples:
        >>> net = ResNet(depth=10, width=0.25)
        >>> [tuple(out.shape) for out in net(torch.rand(1, 3, 64, 96))]
        [(1, 16, 32, 48), (1, 16, 16, 24), (1, 32, 8, 12), (1, 64, 4, 6), (1, 128, 2, 3)]
    """

    arch_settings = {
        10: (BasicBlock, (1, 1, 1, 1)),
        14: (BasicBlock, (1, 1, 2, 2)),
        18: (BasicBlock, (2, 2, 2, 2)),
        20: (BasicBlock, (2, 2, 3, 2)),
        26: (BasicBlock, (3, 3, 3, 3)),
        34: (BasicBlock, (3, 4, 6, 3)),
    }

    def __init__(self,
                 depth: int,
                 width: float = 1.0,
                 out_indices: Sequence[int] = (0, 1, 2, 3, 4),
                 in_channels: int = 3,
                 num_stages: int = 4,
                 frozen_stages: int = -1,
                 norm_cfg: dict | None = None,
                 norm_eval: bool = False,
                 with_cp: bool = False,
                 zero_init_residual: bool = False,
                 init_cfg: dict | list[dict] | None = None,
                 **kwargs: Any) -> None:
        if depth not in self.arch_settings:
            raise ValueError(f'depth={depth!r} is not a ResNet of skd_mm; the depths are {sorted(self.arch_settings)}')
        wrong = [index for index in out_indices if not 0 <= index <= num_stages]
        if wrong or not out_indices:
            raise ValueError(f'out_indices={tuple(out_indices)}: {wrong or "nothing"} cannot be an output; 0 is the '
                             f'stem and 1..{num_stages} are layer1..layer{num_stages}')
        channels = scale_channels(64, width)
        super().__init__(
            depth=depth,
            in_channels=in_channels,
            stem_channels=channels,
            base_channels=channels,
            num_stages=num_stages,
            strides=kwargs.pop('strides', (1, 2, 2, 2)[:num_stages]),
            dilations=kwargs.pop('dilations', (1, 1, 1, 1)[:num_stages]),
            out_indices=(0, ),  # mmsegmentation counts from layer1; ours are set below
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg or dict(type='BN', requires_grad=True),
            norm_eval=norm_eval,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            init_cfg=init_cfg,
            **kwargs)
        self.width = width
        self.out_indices = tuple(out_indices)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        No later module changes a returned feature: the in-place ReLUs act on tensors of their own block.

        Args:
            x: Images, ``[B, in_channels, H, W]``.

        Returns:
            The features that ``out_indices`` names, in ascending order.
        """
        if self.deep_stem:
            x = self.stem(x)
        else:
            x = self.relu(self.norm1(self.conv1(x)))
        outs = [x] if 0 in self.out_indices else []
        x = self.maxpool(x)
        for index, name in enumerate(self.res_layers, start=1):
            x = getattr(self, name)(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> 'ResNet':
        """Set the mode, and return the network; mmsegmentation's ResNet returns None."""
        super().train(mode)
        return self
