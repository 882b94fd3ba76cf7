"""Networks that are changed after they are built, such as quantised or pruned ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import MODELS as MMENGINE_MODELS
from torch import nn

from skd_mm.registry import MODELS, NETWORK_TRANSFORMS, SCOPE, build

TRANSFORMED = f'{SCOPE}.TransformedNetwork'
WeightAdapter = Callable[[nn.Module, Mapping[str, Any]], dict[str, Any]]


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


def exported_transforms(cfg: Mapping[str, Any], model: nn.Module) -> ConfigDict:
    """Return the config of a network as it is exported.

    Args:
        cfg: The config of a network, with transforms or without.
        model: The network. A transform that only weights determine, or that needs a package which users of the exported
            network may not have, sets its attribute ``exported_transforms``: by the type of a transform, the config of
            one that builds the same network.

    Returns:
        The config with these transforms.
    """
    exported = ConfigDict(cfg)
    others = getattr(model, 'exported_transforms', {})
    if others:
        exported.transforms = [others.get(str(transform['type']).rpartition('.')[2], transform)
                               for transform in cfg['transforms']]
    return exported


def add_weight_adapter(model: nn.Module, adapt: WeightAdapter) -> None:
    """Let checkpoints of a network before a transform be loaded after it.

    Args:
        model: The network after the transform.
        adapt: A function of the network and a state dict of it before or after the transform, which returns the state
            dict after it. Those of several transforms are called in the order of the transforms.
    """
    model.weight_adapters = (*getattr(model, 'weight_adapters', ()), adapt)  # type: ignore[assignment]


def adapted_weights(model: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return weights as a transformed network names and shapes them.

    Args:
        model: The network. A class of networks that renames parameters itself has a method ``adapt_weights``, a
            function of the network and a state dict that returns the state dict to load.
        weights: The state dict of the network before or after its transforms.

    Returns:
        The state dict to load.
    """
    own = getattr(model, 'adapt_weights', None)
    adapted = dict(weights) if own is None else own(model, weights)
    for adapt in getattr(model, 'weight_adapters', ()):
        adapted = adapt(model, adapted)
    return adapted
