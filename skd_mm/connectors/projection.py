"""Connectors that change the number of channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class Conv1x1(nn.Module):
    """A 1×1 convolution from one network's channels to the other's.

    Trained together with its spot, and thrown away on export.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
        bias: Whether the convolution has a bias. Defaults to True.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Project a feature.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, out_channels, H, W]``.
        """
        return self.conv(feature)


@CONNECTORS.register_module()
class RestoreChannels(Conv1x1):
    """A 1×1 convolution from a pruned feature's channels to those before, which starts with the kept ones in place.

    It is the ``connector`` of a spot between the network before pruning and a student with the transform
    ``PruneChannels``, or one that ``tools/prune.py`` pruned. The student's features begin as those of the network
    before, so its later layers, whose weights expect them, stay useful; a :class:`Conv1x1` begins at random, and the
    student's stage adapts to it. The channels that were removed begin as 0. The distiller tells which channels were
    kept when it loads the student's checkpoint.

    Args:
        in_channels: Channels after pruning; filled in by the distiller.
        out_channels: Channels before pruning; filled in by the distiller.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)

    @torch.no_grad()
    def start_from(self, kept: Sequence[int]) -> None:
        """Set the parameters.

        Args:
            kept: The index before pruning of each channel, ``in_channels`` of them.

        Raises:
            ValueError: There are more or fewer.
        """
        if len(kept) != self.conv.in_channels:
            raise ValueError(f'the pruned feature has {self.conv.in_channels} channels, and {len(kept)} were kept')
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.conv.weight[list(kept), range(len(kept))] = 1


@CONNECTORS.register_module()
class Linear(nn.Module):
    """A linear layer from one network's channels to the other's, for vectors and tokens.

    Trained together with its spot, and thrown away on export.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
        bias: Whether it has a bias. Defaults to True.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels, bias)

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Project a feature.

        Args:
            feature: ``[B, in_channels]`` or ``[B, N, in_channels]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, out_channels]`` or ``[B, N, out_channels]``.
        """
        return self.linear(feature)


@CONNECTORS.register_module()
class Projector(nn.Module):
    """A head of two 1×1 convolutions without bias, with BN and ReLU between them, to the other network's channels.

    CIRKD's projection head on the student's side (Yang et al., arXiv 2204.06986, Sec. 3.3, and the authors' code, where
    BN is synchronised; here ``sync_bn='torch'`` of the config does so). Trained together with its spot, and thrown away
    on export.

    Args:
        in_channels: Channels of the feature it is given; filled in by the distiller.
        out_channels: Channels of the feature on the other side; filled in by the distiller.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 1, bias=False))

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Project a feature.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: The feature on the other side; not used.

        Returns:
            ``[B, out_channels, H, W]``.
        """
        return self.layers(feature)
