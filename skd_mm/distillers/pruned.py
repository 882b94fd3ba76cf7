"""Pruned students: which of the teacher's channels they are compared with."""

from typing import Any

from torch import nn

from skd_mm.connectors import KeptChannels
from skd_mm.features import FeatureExtractor

from .spot import Spot


def set_kept_channels(spots: nn.ModuleDict, student: FeatureExtractor) -> None:
    """Tell the connectors :class:`KeptChannels` which channels a pruned student has kept.

    Args:
        spots: The spots.
        student: The student. ``kept_channels`` of its model has, by the path of a module, the channels that are left of
            its output; modules that have all of theirs are missing.

    Raises:
        ValueError: A spot has such a connector and nothing is known of the student's channels, or it has other ones.
    """
    spot: Any
    for spot in spots.values():
        for connector in spot.teacher_connector:
            if isinstance(connector, KeptChannels):
                _set_channels(connector, spot, student)


def _set_channels(connector: KeptChannels, spot: Spot, student: FeatureExtractor) -> None:
    kept = getattr(student.model, 'kept_channels', None)
    if kept is None:
        raise ValueError(f"spot {spot.name!r}: the channels of the student that were kept are not known. KeptChannels "
                         "needs a student with transform=dict(type='PruneChannels', ...) and a checkpoint of the "
                         "network before pruning, or one that tools/prune.py wrote; for others there is "
                         "connector='auto'")
    assert isinstance(spot.student, str)  # a spot at several modules takes no connectors
    path, _ = student.module_path(spot.student)
    try:
        connector.keep(kept.get(path, range(len(connector.channels))))
    except ValueError as error:
        raise ValueError(f'spot {spot.name!r}: {error}') from error
