"""Networks that OpenMMLab lacks: the ResNets and the U-Net decode head of SKD."""

from .backbones import ResNet
from .decode_heads import UNetHead

__all__ = ['ResNet', 'UNetHead']
