"""LeNet-5, the lightweight teacher of LW-KD."""

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from torch import Tensor, nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class LeNet5(BaseBackbone):
    """LeNet-5 with ReLU and max-pooling, for grey images of 32×32 pixels, up to its last hidden layer.

    conv5 6 – pool – conv5 16 – pool – 120 – 84. Followed by mmpretrain's ``LinearClsHead(in_channels=84)``, it has
    69,356 parameters for 100 classes. Its choice as the lightweight teacher of LW-KD (arXiv 2005.09163) is this
    project's design. mmpretrain's own LeNet5 has tanh and average pooling.

    Args:
        in_channels: Channels of the images. Defaults to 1.
    """

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(),
            nn.Linear(120, 84), nn.ReLU())

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Run the network.

        Args:
            x: ``[B, in_channels, 32, 32]``.

        Returns:
            A tuple of one vector per image, ``[B, 84]``.
        """
        return (self.layers(x), )
