"""Pruned students: which channels of the network before they have."""

from typing import Any

from torch import nn

from skd_mm.connectors import RestoreChannels
from skd_mm.features import FeatureExtractor


def start_from_kept_channels(spots: nn.ModuleDict, student: FeatureExtractor) -> None:
    """Initialise the connectors :class:`RestoreChannels` by the channels that a pruned student has kept.

    Args:
        spots: The spots.
        student: The student. ``kept_channels`` of its model has, by the path of a module, the channels that are left of
            its output, as indices of those before; modules that have all of theirs may be missing.

    Raises:
        ValueError: A spot has such a connector, and the student's channels are not known.
    """
    spot: Any
    for spot in spots.values():
        for connector in spot.connector:
            if isinstance(connector, RestoreChannels):
                try:
                    connector.start_from(_kept_channels(student, spot.student, connector.conv))
                except ValueError as error:
                    raise ValueError(f'spot {spot.name!r}: {error}') from error


def _kept_channels(student: FeatureExtractor, module: str, conv: nn.Conv2d) -> list[int]:
    kept = getattr(student.model, 'kept_channels', None)
    if kept is None:
        raise ValueError("the channels that the student has kept are not known: RestoreChannels needs a student with "
                         "transform=dict(type='PruneChannels', ...) and a checkpoint of the network before pruning, or "
                         "a checkpoint of tools/prune.py; for others there is connector='auto'")
    path, indices = student.module_path(module)
    if path in kept and not indices:
        return kept[path]
    if conv.in_channels == conv.out_channels:
        return list(range(conv.in_channels))
    raise ValueError(f'the channels that {module!r} has kept are not known: name the module that returns this feature '
                     "itself, or use connector='auto'")
