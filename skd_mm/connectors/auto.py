"""The connectors that ``connector='auto'`` stands for."""

from typing import Any, NamedTuple

from skd_mm.utils import Layout

Configs = list[dict[str, Any]]


class AutoConnectors(NamedTuple):
    """Configs of connectors that make two features comparable.

    Attributes:
        feature: The connectors of the feature, in order.
        reference: Those of the reference: they change its layout and have no parameters.
    """

    feature: Configs
    reference: Configs


def auto_connectors(feature: Layout, reference: Layout) -> AutoConnectors:
    """Choose connectors from the layouts of two features.

    The feature is projected to the channels of the reference, if they differ, and resized to its resolution. Tokens
    and maps with their channels last become maps first, on both sides, and extra tokens are dropped. If both sides are
    equally many tokens, they stay tokens. If one side is a vector, the other one is averaged over its positions.

    Args:
        feature: The layout of the feature that is projected and resized; usually the student's.
        reference: The layout of the feature on the other side.

    Returns:
        The configs of the connectors; both lists are empty if the shapes are equal.

    Raises:
        ValueError: One of the features is neither a vector, nor tokens, nor a map.
    """
    for layout in (feature, reference):
        if layout.kind == 'other':
            raise ValueError("connector='auto' bridges vectors [B, C], tokens [B, N, C] and maps [B, C, H, W] only: "
                             'name another module or your own connector')
    differ = feature.channels != reference.channels
    linear: Configs = [dict(type='Linear')] if differ else []
    if 'vector' in (feature.kind, reference.kind):
        return AutoConnectors(_to_vector(feature) + linear, _to_vector(reference))
    both_tokens = feature.kind == reference.kind == 'tokens'
    if both_tokens and feature[2:] == reference[2:]:
        return AutoConnectors(linear, [])
    found = _to_map(feature)
    if differ:
        found.append(dict(type='Conv1x1'))
    if feature.grid != reference.grid:
        found.append(dict(type='Resize'))
    return AutoConnectors(found, _to_map(reference))


def _to_map(layout: Layout) -> Configs:
    if layout.kind == 'tokens':
        return [dict(type='TokensToMap', extra_tokens=layout.extra_tokens)]
    return [dict(type='ChannelsFirst')] if layout.kind == 'channels_last' else []


def _to_vector(layout: Layout) -> Configs:
    return [] if layout.kind == 'vector' else [*_to_map(layout), dict(type='GlobalPool')]
