"""Pooling of SKD's classifiers."""

import torch
from torch import Tensor, nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class ConcatPooling(nn.Module):
    """Concatenation of the max- and the average-pooled feature, followed by a linear layer and a ReLU.

    Followed by mmpretrain's ``LinearClsHead(in_channels=out_channels)``, it is the head of SKD's classifiers (arXiv
    1911.06786): concat(max-pool, avg-pool) -> Linear 1024 -> 256 -> ReLU -> Linear 256 -> classes. As the hidden layer
    is part of the neck, the classifier is ``head.fc``, as in every other model.

    Args:
        in_channels: Channels of the backbone's last feature. Defaults to 512.
        out_channels: Length of the vector after the ReLU. Defaults to 256.
    """

    def __init__(self, in_channels: int = 512, out_channels: int = 256) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * in_channels, out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Pool the last feature.

        Args:
            feats: The backbone's outputs, the last ``[B, in_channels, H, W]``.

        Returns:
            A tuple of one vector per image, ``[B, out_channels]``, the input of mmpretrain's heads.
        """
        feature = feats[-1]
        pooled = torch.cat([feature.amax((2, 3)), feature.mean((2, 3))], dim=1)
        return (self.relu(self.fc(pooled)), )
