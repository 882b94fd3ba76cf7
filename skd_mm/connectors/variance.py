"""Connectors that predict a distribution."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class VarianceHead(nn.Module):
    """Prediction of the reference as a Gaussian: the mean from three 1×1 convolutions, one variance per channel.

    Variational information distillation (Ahn et al., arXiv 1904.05835, Sec. 2), in the form of SAKD's table (arXiv
    2205.02399): the convolutions have the reference's width, no bias and a ReLU between them, the variance is
    ``σ^2 = softplus(α) + ε`` with one trainable ``α`` per channel. For the loss ``VIDLoss``.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
        init_variance: Initial variance. Defaults to 5.
        eps: Minimum variance, ``ε``. Defaults to 1e-5.

    Raises:
        ValueError: The variance would start at ``eps`` or below.
    """

    def __init__(self, in_channels: int, out_channels: int, init_variance: float = 5.0, eps: float = 1e-5) -> None:
        super().__init__()
        if not init_variance > eps > 0:
            raise ValueError(f'VarianceHead: `init_variance` ({init_variance}) must be above `eps` ({eps}), and both '
                             'above 0')
        self.mean = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 1, bias=False), nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 1, bias=False))
        self.alpha = nn.Parameter(torch.full((out_channels, 1, 1), math.log(math.expm1(init_variance - eps))))
        self.eps = eps

    def forward(self, feature: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the reference.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            The mean, ``[B, out_channels, H, W]``, and the variance, ``[B, out_channels, 1, 1]``, the same for all
            samples; it has the batch's dimension so that samples can be chosen from both alike.
        """
        mean = self.mean(feature)
        return mean, (F.softplus(self.alpha) + self.eps).expand(len(feature), -1, -1, -1)
