"""Networks that OpenMMLab lacks: those of SKD, and the CIFAR networks that distillation is compared on."""

from .backbones import (
    CIFARVGG,
    CIFARMobileNetV2,
    CIFARResNet,
    CIFARShuffleNetV1,
    CIFARShuffleNetV2,
    ResNet,
    WideResNet,
)
from .classifiers import EmbeddingClassifier
from .decode_heads import UNetHead
from .necks import ConcatPooling

__all__ = [
    'CIFARVGG', 'CIFARMobileNetV2', 'CIFARResNet', 'CIFARShuffleNetV1', 'CIFARShuffleNetV2', 'ConcatPooling',
    'EmbeddingClassifier', 'ResNet', 'UNetHead', 'WideResNet'
]
