"""Networks that are changed after they are built, such as quantised or pruned ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import nn

from skd_mm.registry import MODELS, NETWORK_TRANSFORMS, SCOPE, build

TRANSFORMED = f'{SCOPE}.TransformedNetwork'


@MODELS.register_module(name='TransformedNetwork')
def build_transformed_network(network: Any, transforms: Sequence[Mapping[str, Any]], **cfg: Any) -> nn.Module:
    """Build a network and apply transforms to it.

    In a config it has the type ``skd_mm.TransformedNetwork``. All other keys stay those of the network, because the
    tools of the model zoos read and change them. The result is the network itself, not a wrapper around it.

    Args:
        network: ``type`` of the network.
        transforms: Configs of network transforms, applied in this order.
        **cfg: All other keys of the network's config.

    Returns:
        The transformed network.

    Raises:
        ValueError: A transform does not exist or cannot be applied.

    Example:
        >>> model = dict(
        ...     type='skd_mm.TransformedNetwork',
        ...     network='ImageClassifier',
        ...     transforms=[dict(type='FakeQuantize', bits=8)],
        ...     backbone=dict(type='skd_mm.CIFARResNet', depth=20),
        ...     neck=dict(type='GlobalAveragePooling'),
        ...     head=dict(type='LinearClsHead', num_classes=100, in_channels=64))
    """
    model = MMENGINE_MODELS.build(ConfigDict(type=network, **cfg))
    for transform in transforms:
        model = build(NETWORK_TRANSFORMS, dict(transform))(model)
    return model


def transformed_config(model: Mapping[str, Any], transform: Any) -> ConfigDict:
    """Return a network's config with transforms applied after those that it has.

    Args:
        model: The config of a network.
        transform: The config of a transform, or a list of them.

    Returns:
        The config of the transformed network.
    """
    added = [transform] if isinstance(transform, Mapping) else list(transform)
    plain = dict(model)
    if plain['type'] in (TRANSFORMED, 'TransformedNetwork'):
        return ConfigDict(plain, transforms=[*plain['transforms'], *added])
    network = plain.pop('type')
    return ConfigDict(type=TRANSFORMED, network=network, transforms=added, **plain)


def adapted_weights(model: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights as a transformed network names and shapes them.

    Args:
        model: The network. A transform that renames or merges parameters sets its attribute ``adapt_weights``, a
            function of the network and a state dict that returns the state dict to load.
        weights: The state dict of the network before or after its transforms.

    Returns:
        The state dict to load.
    """
    adapt = getattr(model, 'adapt_weights', None)
    return dict(weights) if adapt is None else adapt(model, weights)
