"""Networks that OpenMMLab lacks: those of SKD and LW-KD, and the CIFAR networks of distillation benchmarks."""

from .backbones import (
    CIFARVGG,
    MLP,
    CIFARMobileNetV2,
    CIFARResNet,
    CIFARShuffleNetV1,
    CIFARShuffleNetV2,
    LeNet5,
    ResNet,
    WideResNet,
)
from .bare_backbone import BareBackbone
from .classifiers import EmbeddingClassifier
from .decode_heads import MaskMapHead, UNetHead
from .discriminator import LabelDiscriminator
from .holistic_discriminator import HolisticDiscriminator
from .label_teachers import TargetBank, VirtualTeacher
from .necks import ConcatPooling

__all__ = [
    'CIFARVGG', 'MLP', 'BareBackbone', 'CIFARMobileNetV2', 'CIFARResNet', 'CIFARShuffleNetV1', 'CIFARShuffleNetV2',
    'ConcatPooling', 'EmbeddingClassifier', 'HolisticDiscriminator', 'LabelDiscriminator', 'LeNet5', 'MaskMapHead',
    'ResNet', 'TargetBank', 'UNetHead', 'VirtualTeacher', 'WideResNet'
]
