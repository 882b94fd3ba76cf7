"""The transform that gives the layers of a network other numbers of channels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.registry import NETWORK_TRANSFORMS
from skd_mm.utils import did_you_mean

Width = int | Sequence[int]


@NETWORK_TRANSFORMS.register_module()
class ChannelWidths:
    """Sets the channels of single layers, as pruning leaves them.

    The layers keep their names, and their first channels. ``tools/prune.py`` writes the widths into a config.

    Args:
        widths: By the path of a layer: ``(in, out)`` of a convolution or linear layer (``(in, out, groups)`` of a
            grouped convolution), the number of channels of a BN layer.

    Raises:
        ValueError: The network has no such layer, or its width is no width of such a layer.

    Example:
        >>> transform = dict(type='ChannelWidths', widths={
        ...     'backbone.layer1.0.conv1': (64, 40),
        ...     'backbone.layer1.0.bn1': 40,
        ...     'backbone.layer1.0.conv2': (40, 64)})
    """

    def __init__(self, widths: Mapping[str, Width]) -> None:
        self.widths = dict(widths)

    def __call__(self, model: nn.Module) -> nn.Module:
        """Set the widths in place, and return the network."""
        modules = dict(model.named_modules())
        for path, width in self.widths.items():
            if path not in modules:
                raise ValueError(f'ChannelWidths: {type(model).__name__} has no module {path!r}'
                                 f'{did_you_mean(path, modules)}')
            _set_width(modules[path], path, width)
        return model


def layer_widths(model: nn.Module) -> dict[str, Width]:
    """Return the widths of all layers whose width can be set.

    Args:
        model: A network.

    Returns:
        Widths as :class:`ChannelWidths` takes them.
    """
    widths: dict[str, Width] = {}
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            width = [module.in_channels, module.out_channels]
            widths[path] = width if module.groups == 1 else [*width, module.groups]
        elif isinstance(module, nn.Linear):
            widths[path] = [module.in_features, module.out_features]
        elif isinstance(module, _BatchNorm):
            widths[path] = module.num_features
    return widths


def _set_width(module: Any, path: str, width: Width) -> None:
    numbers = [width] if isinstance(width, int) else list(width)
    lengths = (1, ) if isinstance(module, _BatchNorm) else (2, 3) if isinstance(module, nn.Conv2d) else (2, )
    if not isinstance(module, _BatchNorm | nn.Conv2d | nn.Linear):
        raise ValueError(f'ChannelWidths: {path!r} is a {type(module).__name__}; only convolutions, linear and BN '
                         'layers have a width')
    if len(numbers) not in lengths or any(not isinstance(number, int) or number < 1 for number in numbers):
        form = 'one number' if lengths == (1, ) else '(in, out)'
        raise ValueError(f'ChannelWidths: the width of {path!r}, a {type(module).__name__}, must be {form} from 1 on, '
                         f'not {width!r}')
    if isinstance(module, _BatchNorm):
        module.num_features = numbers[0]
        _resize(module, (numbers[0], ))
        return
    inputs, outputs = numbers[:2]
    if isinstance(module, nn.Linear):
        module.in_features, module.out_features = inputs, outputs
        _resize(module, (outputs, inputs))
        return
    groups = numbers[2] if len(numbers) == 3 else 1
    if inputs % groups or outputs % groups:
        raise ValueError(f'ChannelWidths: the width of {path!r} is {width!r}: the channels must be multiples of the '
                         'groups')
    module.in_channels, module.out_channels, module.groups = inputs, outputs, groups
    _resize(module, (outputs, inputs // groups))


def _resize(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Resize the leading dimensions of a layer's weight, and the channels of its other tensors."""
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is None or tensor.dim() == 0:
                continue
            wanted = shape if name == 'weight' else shape[:1]
            resized: Tensor = _resized(tensor.detach(), wanted)
            if isinstance(tensor, nn.Parameter):
                resized = nn.Parameter(resized, tensor.requires_grad)
            tensors[name] = resized  # type: ignore[assignment]


def _resized(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the first channels of a tensor; channels that it does not have repeat its own."""
    for dim, length in enumerate(shape):
        tensor = tensor.index_select(dim, torch.arange(length, device=tensor.device) % tensor.shape[dim])
    return tensor.clone()
