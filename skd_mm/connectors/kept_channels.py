"""The connector of a pruned student's teacher: the network before pruning."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class KeptChannels(nn.Module):
    """Selects from a feature of the network before pruning the channels that the pruned network has kept.

    It is the ``teacher_connector`` of a spot between the network before and a student with the transform
    ``PruneChannels``, or one that ``tools/prune.py`` pruned. A channel of the student is compared with the channel that
    it was, so the student's later layers, whose weights expect these channels, stay useful. It has no parameters. The
    distiller sets the channels when it loads the student's checkpoint; they are stored in its own checkpoints.

    Args:
        in_channels: Channels of the feature before pruning; filled in by the distiller.
        out_channels: Channels that are left; filled in by the distiller.

    Raises:
        ValueError: There are more channels after pruning than before.
    """

    channels: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        if out_channels > in_channels:
            raise ValueError(f'KeptChannels cannot keep {out_channels} of {in_channels} channels')
        self.register_buffer('channels', torch.arange(out_channels))

    def keep(self, channels: Sequence[int]) -> None:
        """Set the channels.

        Args:
            channels: Their indices before pruning, as many as ``out_channels``.

        Raises:
            ValueError: Their number is another one.
        """
        if len(channels) != len(self.channels):
            raise ValueError(f'the pruned feature has {len(self.channels)} channels, and {len(channels)} were kept')
        self.channels.copy_(torch.tensor(channels))

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Select the channels.

        Args:
            feature: ``[B, in_channels, ...]``, of the network before pruning.
            reference: The pruned network's feature; not used.

        Returns:
            ``[B, out_channels, ...]``.
        """
        return feature.index_select(1, self.channels)
