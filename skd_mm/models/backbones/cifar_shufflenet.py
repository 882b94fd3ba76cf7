"""ShuffleNets for 32x32 images."""

from typing import Any

from mmcv.cnn import ConvModule
from mmpretrain.models.backbones import ShuffleNetV1, ShuffleNetV2
from mmpretrain.models.backbones.shufflenet_v1 import ShuffleUnit
from torch import nn

from skd_mm.registry import MODELS


def _keep_resolution(net: ShuffleNetV1 | ShuffleNetV2) -> None:
    """Give a ShuffleNet a 1x1 stem without stride and pooling, as 32x32 images need it."""
    net.conv1 = ConvModule(3, net.conv1.out_channels, 1, conv_cfg=net.conv_cfg, norm_cfg=net.norm_cfg,
                           act_cfg=net.act_cfg)
    net.maxpool = nn.Identity()


@MODELS.register_module()
class CIFARShuffleNetV1(ShuffleNetV1):
    """ShuffleNetV1 (arXiv 1707.01083) for 32x32 images, as CRD (arXiv 1910.10699) and SAKD (arXiv 2205.02399) use it.

    It differs from mmpretrain's by a 1x1 stem (24@32), a bottleneck of a quarter of the channels that a unit *adds*,
    and an additional ReLU after the depthwise convolution, like the code of those papers. ``layers.0`` to ``layers.2``
    are 240@16, 480@8, 960@4 and end with a ReLU; with 3 groups and 100 classes there are .949 M parameters.

    Compared with that code, only the order of the channels remains different: the shuffle follows the depthwise
    convolution, also in the first unit, and the pooled input comes first in a concatenation.

    Args:
        **kwargs: Arguments of mmpretrain's ``ShuffleNetV1``. Its ``out_indices`` 0 to 2 are ``layers.0`` to
            ``layers.2``, and default to the last, ``(2, )``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _keep_resolution(self)
        conv: dict[str, Any] = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg)
        for unit in self.modules():
            if not isinstance(unit, ShuffleUnit):
                continue
            # The out_channels of a unit are those that it adds in the concatenation.
            mid = unit.bottleneck_channels = unit.out_channels // 4
            unit.g_conv_1x1_compress = ConvModule(
                unit.in_channels, mid, 1, groups=unit.first_1x1_groups, act_cfg=self.act_cfg, **conv)
            unit.depthwise_conv3x3_bn = ConvModule(
                mid, mid, 3, stride=unit.depthwise_stride, padding=1, groups=mid, act_cfg=self.act_cfg, **conv)
            unit.g_conv_1x1_expand = ConvModule(mid, unit.out_channels, 1, groups=unit.groups, act_cfg=None, **conv)


@MODELS.register_module()
class CIFARShuffleNetV2(ShuffleNetV2):
    """ShuffleNetV2 (arXiv 1807.11164) for 32x32 images, as CRD (arXiv 1910.10699) uses it.

    It is mmpretrain's with a 1x1 stem that keeps the resolution (24@32): ``layers.0`` to ``layers.3`` are 116@16,
    232@8, 464@4 and, after the last convolution, 1024@4. With 100 classes there are 1.356 M parameters.

    Args:
        **kwargs: Arguments of mmpretrain's ``ShuffleNetV2``. Its ``out_indices`` 0 to 3 are ``layers.0`` to
            ``layers.3``, and default to the last, ``(3, )``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        _keep_resolution(self)
