"""Backbones."""

from .cifar_mobilenet_v2 import CIFARMobileNetV2
from .cifar_resnet import CIFARResNet
from .cifar_shufflenet import CIFARShuffleNetV1, CIFARShuffleNetV2
from .cifar_vgg import CIFARVGG
from .lenet import LeNet5
from .mlp import MLP
from .resnet import ResNet
from .wide_resnet import WideResNet

__all__ = [
    'CIFARVGG', 'MLP', 'CIFARMobileNetV2', 'CIFARResNet', 'CIFARShuffleNetV1', 'CIFARShuffleNetV2', 'LeNet5', 'ResNet',
    'WideResNet'
]
