"""Pruned students: narrower layers, whose widths are in the config."""

from .pruner import PrunedNetwork, prune_network
from .tool import prune_student
from .transform import PruneChannels
from .widths import ChannelWidths, layer_widths

__all__ = ['ChannelWidths', 'PruneChannels', 'PrunedNetwork', 'layer_widths', 'prune_network', 'prune_student']
