"""Connectors that bring features of any size into one space."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.registry import CONNECTORS

from .pooling import pooled


@CONNECTORS.register_module()
class Embed(nn.Module):
    """A linear embedding of the pooled feature; on both sides of a spot, for CC and CRD.

    CRD (Tian et al., arXiv 1910.10699, Sec. 3.2: linear, then length 1) and CC (Peng et al., arXiv 1904.01802), both
    with 128 dimensions in SAKD's table (arXiv 2205.02399).

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Not used: both sides have ``dim``.
        dim: Dimensions of the embedding. Defaults to 128.
        normalize: Whether embeddings have length 1, as CRD needs it. Defaults to False.
    """

    def __init__(self, in_channels: int, out_channels: int = 0, dim: int = 128, normalize: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, dim)
        self.normalize = normalize

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Embed a feature.

        Args:
            feature: ``[B, in_channels, ...]``, or tokens ``[B, N, in_channels]``; averaged over its positions, if it
                has any.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, dim]``.
        """
        embedding = self.linear(pooled(feature))
        if not self.normalize:
            return embedding
        # Under autocast the linear layer gives 8 or 11 bits; a length of 1 needs more.
        return F.normalize(embedding.to(torch.promote_types(embedding.dtype, torch.float32)), dim=1)
