"""Chains of connectors."""

from typing import Any

from torch import nn


def connected(connectors: nn.Module, feature: Any, reference: Any) -> Any:
    """Send a feature through connectors.

    Args:
        connectors: An ``nn.ModuleList`` of them; none leaves the feature as it is.
        feature: The feature, a tensor or a tuple of them.
        reference: The feature on the other side, for all of them.

    Returns:
        What comes out of the last one.
    """
    for connector in connectors.children():
        feature = connector(feature, reference)
    return feature
