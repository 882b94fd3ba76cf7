"""The stages that backbones define themselves."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .extractor import FeatureExtractor

# Their names in OpenMMLab's backbones: a list of attribute names, or a container of modules.
_LISTS = ('res_layers', 'layers', 'stages')

Outputs = list[tuple[str, Tensor]]


def backbone_stages(network: FeatureExtractor, call: Callable[[], Any]) -> Outputs:
    """Find the stages of ``model.backbone``, as the backbone itself names them.

    Args:
        network: A model with a ``backbone``.
        call: Runs it once; see :func:`split_stages`.

    Returns:
        For each stage the name of the module at its end and its output, in the order of the forward pass.

    Raises:
        ValueError: The model has no backbone, or the backbone no stages under a known name.
    """
    backbone = getattr(network.model, 'backbone', None)
    if backbone is None:
        raise ValueError(f'the {network.role} ({type(network.model).__name__}) has no backbone: name the spots '
                         'one by one')
    finished = [(path, output) for path, output in network.trace(call) if isinstance(output, Tensor)]
    stages = next(filter(None, (_names(backbone, name) for name in _LISTS)), [])
    ends: Outputs = []
    for stage in stages:
        path = f'backbone.{stage}'
        # A stage that is a mere list of modules, or returns more than a tensor, ends with its last module.
        inside = [(name, output) for name, output in finished if name == path or name.startswith(f'{path}.')]
        if inside:
            ends.append(inside[-1])
    if not ends:
        raise ValueError(f'the backbone of the {network.role} ({type(backbone).__name__}) has no list of stages under '
                         f'one of the names {_LISTS}: name the spots one by one')
    return ends


def _names(backbone: nn.Module, attribute: str) -> list[str]:
    """Names below the backbone of the stages in a list of attribute names or a container of modules."""
    value = getattr(backbone, attribute, None)
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return list(value)
    if isinstance(value, nn.ModuleList | nn.Sequential):
        return [f'{attribute}.{name}' for name, _ in value.named_children()]
    return []
