"""A multilayer perceptron."""

import itertools
from collections.abc import Sequence

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class MLP(BaseBackbone):
    """Fully connected layers with ReLU, for rows of tables and other vectors.

    Args:
        in_channels: Length of an input vector.
        channels: Width of each layer. Defaults to (32, 32).
    """

    def __init__(self, in_channels: int, channels: Sequence[int] = (32, 32)) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten())
        for before, after in itertools.pairwise([in_channels, *channels]):
            self.layers.extend([nn.Linear(before, after), nn.ReLU()])

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Run the network.

        Args:
            x: ``[B, in_channels, ...]``; all further dimensions have size 1.

        Returns:
            A tuple of one vector per sample, ``[B, channels[-1]]``.
        """
        return (self.layers(x), )
