"""Structured pruning of channels, by the package torch-pruning."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.features import FeatureExtractor, call_model, side_effect_free
from skd_mm.features.auxiliary import AUXILIARY_HEAD
from skd_mm.utils import tree_leaves

from ..packages import require_packages
from .widths import Width, layer_widths

SUPPORTED = ('ResNet', 'ResNet_CIFAR', 'WideResNet', 'CIFARVGG', 'CIFARMobileNetV2')
"""Names of the backbones that can be pruned, with all classes derived from them."""
MIN_CHANNELS = 4
"""Channels that a layer has at least after pruning. With fewer, small decoders lose what they have learned."""
_STEPS = 10


@dataclass(frozen=True)
class PrunedNetwork:
    """A pruned network.

    Attributes:
        model: The network, a pruned copy.
        widths: The widths of all layers that have become narrower, for :class:`ChannelWidths`.
        share: Its MACs divided by those of the network before.
        kept: By the path of a module whose output is that of a pruned layer, the channels that are left, as indices of
            those before.
    """

    model: nn.Module
    widths: dict[str, Width]
    share: float
    kept: dict[str, list[int]]


def prune_network(model: nn.Module, shape: Sequence[int], macs: float, keep: Sequence[str] = (),
                  min_channels: int = MIN_CHANNELS) -> PrunedNetwork:
    """Remove channels until a network needs a given share of its MACs.

    The same share of the channels is removed from all layers, those with the smallest L2 norm first. Channels that
    additions and BN couple are removed together (DepGraph, arXiv 2301.12900). The channels of the image and the classes
    stay.

    Args:
        model: A network with one of the backbones :data:`SUPPORTED`. It is not changed.
        shape: ``(C, H, W)`` of the images.
        macs: The share of the MACs to reach, in (0, 1).
        keep: Paths of modules whose outputs keep all their channels, such as the ends of the stages: they can then be
            compared with those of the network before without a connector.
        min_channels: No layer gets fewer channels than this; those that have fewer stay as they are.

    Returns:
        The pruned network. Its share is at most ``macs``, and as near as whole channels allow.

    Raises:
        ImportError: torch-pruning is not installed.
        ValueError: The network is not supported, a module does not exist, or the share cannot be reached.
    """
    require_packages(['torch_pruning'], 'pruning')
    check_share(macs)
    check_min_channels(min_channels)
    check_supported(model)
    model = copy.deepcopy(model).eval()
    kept = _kept_layers(model, shape, keep)
    before = _macs(model, shape)
    low, high = 0.0, 1.0
    best, channels = _pruned(model, shape, high, kept, min_channels)
    share = _macs(best, shape) / before
    if share > macs:
        advice = f'keep fewer modules than {list(keep)}' if keep else 'choose a larger share'
        if min_channels > 1:
            advice += ', or set a smaller min_channels'
        raise ValueError(f'{macs:.0%} of the MACs cannot be reached: with min_channels={min_channels}, the network '
                         f'needs at least {share:.1%}; {advice}')
    for _ in range(_STEPS):
        ratio = (low + high) / 2
        pruned, left = _pruned(model, shape, ratio, kept, min_channels)
        found = _macs(pruned, shape) / before
        if found <= macs:
            high, best, channels, share = ratio, pruned, left, found
        else:
            low = ratio
    old, new = layer_widths(model), layer_widths(best)
    widths = {path: width for path, width in new.items() if width != old[path]}
    return PrunedNetwork(best, widths, share, _channels_of_modules(model, shape, channels))


def check_share(macs: float) -> None:
    """Refuse a share of the MACs that is not in (0, 1)."""
    if not 0 < macs < 1:
        raise ValueError(f'macs={macs!r} must be greater than 0 and less than 1')


def check_min_channels(min_channels: int) -> None:
    """Refuse a number of channels that is not a positive integer."""
    if not isinstance(min_channels, int) or min_channels < 1:
        raise ValueError(f'min_channels={min_channels!r} must be a positive integer')


def check_supported(model: nn.Module) -> None:
    """Refuse networks that cannot be pruned.

    Args:
        model: The network.

    Raises:
        ValueError: It has no backbone of :data:`SUPPORTED`, or groups of channels.
    """
    backbone = getattr(model, 'backbone', None)
    names = [kind.__name__ for kind in type(backbone).__mro__]
    name = type(backbone).__name__ if backbone is not None else type(model).__name__
    if not set(names) & set(SUPPORTED):
        raise ValueError(f'a network with the backbone {name} cannot be pruned; these can, and what is derived from '
                         f'them: {", ".join(SUPPORTED)}')
    grouped = [path for path, module in model.named_modules() if isinstance(module, nn.Conv2d)
               and module.groups not in (1, module.in_channels)]
    if grouped:
        raise ValueError(f'a network with the backbone {name} cannot be pruned: the convolution {grouped[0]!r} has '
                         'groups of channels')


def _forward(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Return all outputs of a network, those of its auxiliary heads as well."""
    heads = _auxiliary_heads(model)
    names = [AUXILIARY_HEAD, *(f'{AUXILIARY_HEAD}.{i}' for i in range(len(heads)))]
    outputs: list[Tensor] = []

    def record(forward: Any, *args: Any) -> Any:
        output = forward(*args)
        outputs.extend(tree_leaves(output))
        return output

    for head in heads:  # whose forward methods are called, which run no hooks
        head.__dict__['forward'] = partial(record, head.forward)
    try:
        outputs += tree_leaves(call_model(model, images, names=names))
    finally:
        for head in heads:
            head.__dict__.pop('forward')
    return outputs


def _auxiliary_heads(model: nn.Module) -> list[nn.Module]:
    head = getattr(model, AUXILIARY_HEAD, None)
    if isinstance(head, nn.ModuleList):
        return list(head)
    return [head] if isinstance(head, nn.Module) else []


def _kept_layers(model: nn.Module, shape: Sequence[int], keep: Sequence[str]) -> list[str]:
    """Return the paths of the layers whose outputs keep their channels: the classifiers, and those of ``keep``."""
    network = FeatureExtractor(model)
    ends: dict[str, list[str]] = {}
    for name in keep:
        try:
            ends.setdefault(network.module_path(name)[0], []).append(name)
        except KeyError as error:
            raise ValueError(f'keep: {error.args[0]}') from None
    layers: list[str] = []
    kept: list[str] = []
    made: dict[Any, str] = {}

    def record(path: str, output: Any) -> None:
        if isinstance(model.get_submodule(path), nn.Conv2d | nn.Linear):
            layers.append(path)
            made[output.grad_fn] = path
        if path in ends:
            if not layers:
                raise ValueError(f'keep: no convolution comes before {ends[path]}')
            kept.append(layers[-1])

    with side_effect_free(model), torch.enable_grad():
        outputs = network.watch(lambda: _forward(model, torch.zeros(2, *shape)), record)
    return list(dict.fromkeys([*kept, *(path for output in outputs for path in _last_layers(output, made))]))


def _last_layers(output: Tensor, made: dict[Any, str]) -> list[str]:
    """Return the layers nearest to an output: those on each path of autograd's graph back from it."""
    found, seen, stack = [], set(), [output.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node in made:
            found.append(made[node])
        else:
            stack += [following for following, _ in node.next_functions]
    return found


def _channels_of_modules(model: nn.Module, shape: Sequence[int], channels: Mapping[str, list[int]]) -> dict[
        str, list[int]]:
    """Return the channels that are left of each module's output: those of the last layer that ran before its end."""
    found: dict[str, list[int]] = {}
    last: list[int] | None = None

    def record(path: str, output: Any) -> None:
        nonlocal last
        if isinstance(model.get_submodule(path), nn.Conv2d | nn.Linear):
            last = channels.get(path)
        if last is not None:
            found.setdefault(path, last)

    with side_effect_free(model), torch.no_grad():
        FeatureExtractor(model).watch(lambda: _forward(model, torch.zeros(2, *shape)), record)
    return found


def _pruned(model: nn.Module, shape: Sequence[int], ratio: float, kept: Sequence[str],
            min_channels: int) -> tuple[nn.Module, dict[str, list[int]]]:
    """Return a pruned copy of a network, and by the path of a pruned layer the output channels that are left."""
    import torch_pruning

    pruned = copy.deepcopy(model)
    # Half a channel more: torch-pruning rounds the channels that are left down, to min_channels - 1 for some widths.
    ratios = {module: min(ratio, max(0, 1 - (min_channels + 0.5) / module.out_channels)) for module in pruned.modules()
              if isinstance(module, nn.Conv2d)}
    pruner = torch_pruning.pruner.BasePruner(
        pruned, torch.zeros(2, *shape), importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=min(ratio, 0.99), pruning_ratio_dict=ratios,
        ignored_layers=[pruned.get_submodule(path) for path in kept], forward_fn=_forward)
    paths = {module: path for path, module in pruned.named_modules()}
    channels: dict[str, list[int]] = {}
    for group in pruner.step(interactive=True):
        for dependency, removed in group:
            layer = dependency.target.module
            if isinstance(layer, nn.Conv2d | nn.Linear) and pruner.DG.is_out_channel_pruning_fn(dependency.handler):
                before, gone = channels.get(paths[layer], range(len(layer.weight))), set(removed)
                channels[paths[layer]] = [channel for i, channel in enumerate(before) if i not in gone]
        group.prune()
    return pruned.eval(), channels


def _macs(model: nn.Module, shape: Sequence[int]) -> int:
    """Return the multiply-accumulates of convolutions and linear layers for one image."""
    total = 0

    def count(module: Any, inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    handles = [module.register_forward_hook(count) for module in model.modules()
               if isinstance(module, nn.Conv2d | nn.Linear)]
    try:
        with side_effect_free(model), torch.no_grad():
            model(torch.zeros(1, *shape), mode='tensor')
    finally:
        for handle in handles:
            handle.remove()
    return total
