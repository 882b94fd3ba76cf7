"""The pooling of SKD's classifiers."""

import torch
from torch import Tensor, nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class ConcatPooling(nn.Module):
    """Concatenates the max- and the average-pooled feature, then a linear layer and a ReLU.

    With mmpretrain's ``LinearClsHead(in_channels=out_channels)`` behind it, it is the head of the classifiers of SKD
    (arXiv 1911.06786, section 2 of the method's notes): concat(max-pool, avg-pool) -> Linear 1024 -> 256 -> ReLU ->
    Linear 256 -> classes. As part of the neck the hidden layer leaves the classifier where it is in every other model,
    at ``head.fc``.

    Args:
        in_channels: Channels of the backbone's last feature. Default: 512.
        out_channels: Length of the vector behind the ReLU. Default: 256.
    """

    def __init__(self, in_channels: int = 512, out_channels: int = 256) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * in_channels, out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Pools the last feature.

        Args:
            feats: The backbone's outputs, the last ``[B, in_channels, H, W]``.

        Returns:
            A tuple of one vector a sample, ``[B, out_channels]``, as mmpretrain's heads take it.
        """
        x = feats[-1]
        return (self.relu(self.fc(torch.cat([x.amax((2, 3)), x.mean((2, 3))], dim=1))), )
