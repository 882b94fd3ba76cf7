"""The transform that prunes a network."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from skd_mm.distillers.probing import input_channels
from skd_mm.distillers.transformed import add_weight_adapter
from skd_mm.registry import NETWORK_TRANSFORMS

from .pruner import MIN_CHANNELS, PrunedNetwork, check_min_channels, check_share, prune_network


@NETWORK_TRANSFORMS.register_module()
class PruneChannels:
    """Removes channels until a network needs a given share of its MACs, see :func:`prune_network`.

    How many channels a layer keeps does not depend on the weights. Which ones they are does: a checkpoint of the
    network before pruning can be loaded into the pruned one, and keeps its channels with the largest norms;
    :class:`skd_mm.connectors.RestoreChannels` starts with them. A checkpoint of the pruned network can be loaded, too.
    Exported configs have :class:`ChannelWidths` instead, which does not need torch-pruning.

    Args:
        macs: The share of the MACs to reach, in (0, 1).
        keep: Paths of modules whose outputs keep all their channels, such as those of the spots: they can then be
            compared with those of the network before without a connector. Defaults to none.
        min_channels: No layer gets fewer channels than this; those that have fewer stay as they are. Defaults to 4.
        input_shape: ``(C, H, W)`` of the zeros on which the network is run, and for which MACs are counted. Defaults to
            64×64 with the channels of the first convolution.

    Raises:
        ImportError: torch-pruning is not installed.
        ValueError: The network is not supported, a module does not exist, or the share cannot be reached.

    Example:
        >>> student = dict(cfg='configs/students/resnet20_cifar100.py', checkpoint='resnet20.pth',
        ...                transform=dict(type='PruneChannels', macs=0.5))
    """

    def __init__(self, macs: float, keep: Sequence[str] = (), min_channels: int = MIN_CHANNELS,
                 input_shape: Sequence[int] | None = None) -> None:
        check_share(macs)
        check_min_channels(min_channels)
        self.macs = macs
        self.keep = tuple([keep] if isinstance(keep, str) else keep)
        self.min_channels = min_channels
        self.input_shape = input_shape

    def __call__(self, model: nn.Module) -> nn.Module:
        """Return a pruned copy of a network."""
        pruned = self.prune(model)
        pruned.model.train(model.training)
        widths = dict(type='ChannelWidths', widths=pruned.widths)
        pruned.model.exported_transforms = dict(PruneChannels=widths)  # type: ignore[assignment]
        add_weight_adapter(pruned.model, _Adapter(self, model))
        return pruned.model

    def prune(self, model: nn.Module) -> PrunedNetwork:
        """Prune a network by its present weights.

        Args:
            model: The network; it is not changed.

        Returns:
            The pruned network.
        """
        shape = self.input_shape or (input_channels(model), 64, 64)
        return prune_network(model, shape, self.macs, self.keep, self.min_channels)


class _Adapter:
    """Prunes the weights of the network before.

    It is no module, so the network before is no part of the pruned one.
    """

    def __init__(self, transform: PruneChannels, model: nn.Module) -> None:
        self.transform, self.model = transform, model

    def __call__(self, model: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
        own = self.model.state_dict()
        if any(key not in weights or weights[key].shape != value.shape for key, value in own.items()):
            return dict(weights)
        unpruned = copy.deepcopy(self.model)
        unpruned.load_state_dict({key: weights[key] for key in own})
        pruned = self.transform.prune(unpruned)
        model.kept_channels = pruned.kept  # type: ignore[assignment]
        others = {key: value for key, value in weights.items() if key not in own}
        return {**others, **pruned.model.state_dict()}
