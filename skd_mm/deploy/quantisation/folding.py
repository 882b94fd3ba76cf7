"""Folding BN into the convolutions before it, as integer runtimes do."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.features.temporary_modes import trainable_parameters
from skd_mm.utils import tree_leaves

_NORM_ENTRIES = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def foldable_norms(model: nn.Module, call: Callable[[], Any]) -> dict[str, str]:
    """Find the BN layers that normalise the output of a convolution which nothing else reads.

    Args:
        model: The network, in eval mode.
        call: Runs it once.

    Returns:
        The path of each such convolution, and that of its BN layer.
    """
    made: dict[Any, list[str]] = {}
    read: dict[str, list[Any]] = {}
    roots: list[Any] = []
    handles = []
    for path, module in model.named_modules():
        if type(module) is nn.Conv2d or type(module).__name__ == 'Conv2d':
            handles.append(module.register_forward_hook(
                lambda module, inputs, output, path=path: made.setdefault(output.grad_fn, []).append(path)))
        elif _can_fold(module):
            def record(module: nn.Module, inputs: Any, output: Tensor, path: str = path) -> None:
                read.setdefault(path, []).append(inputs[0].grad_fn)
                roots.append(output.grad_fn)

            handles.append(module.register_forward_hook(record))
    try:
        with torch.enable_grad(), trainable_parameters(model, True):
            roots += [tensor.grad_fn for tensor in tree_leaves(call())]
    finally:
        for handle in handles:
            handle.remove()
    readers = _count_readers(roots)
    calls = [path for paths in made.values() for path in paths]
    pairs = {}
    for norm, nodes in read.items():
        convs = made.get(nodes[0], []) if len(nodes) == 1 else []
        if len(convs) == 1 and calls.count(convs[0]) == 1 and readers.get(nodes[0]) == 1:
            pairs[convs[0]] = norm
    return pairs


def _can_fold(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is not None


def _count_readers(roots: list[Any]) -> dict[Any, int]:
    """Return by how many nodes of autograd's graph each node's output is read."""
    counts: dict[Any, int] = {}
    stack = [node for node in dict.fromkeys(roots) if node is not None]
    seen = set(stack)
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is None:
                continue
            counts[node] = counts.get(node, 0) + 1
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return counts


@torch.no_grad()
def fold_norms(model: nn.Module, pairs: Mapping[str, str]) -> dict[str, tuple[str, float]]:
    """Fold BN layers into convolutions, and replace them by identities.

    Args:
        model: The network; it is changed.
        pairs: The result of :func:`foldable_norms`.

    Returns:
        The path of each convolution, with the path of its BN layer and that layer's epsilon, for
        :func:`fold_weights`.
    """
    folded = {}
    weights = model.state_dict()
    for conv_path, norm_path in pairs.items():
        conv: Any = model.get_submodule(conv_path)
        norm: Any = model.get_submodule(norm_path)
        folded[conv_path] = norm_path, norm.eps
        if conv.bias is None:
            conv.bias = nn.Parameter(conv.weight.new_zeros(len(conv.weight)))
        parent, _, name = norm_path.rpartition('.')
        setattr(model.get_submodule(parent), name, nn.Identity())
    model.load_state_dict(fold_weights(weights, folded), strict=False)
    return folded


def fold_weights(weights: Mapping[str, Any], folded: Mapping[str, tuple[str, float]]) -> dict[str, Any]:
    """Fold the BN layers of a state dict into its convolutions.

    Args:
        weights: A state dict of the network with or without its BN layers.
        folded: The result of :func:`fold_norms`.

    Returns:
        The state dict without these layers.
    """
    result = dict(weights)
    for conv, (norm, eps) in folded.items():
        variance = result.get(f'{norm}.running_var')
        if variance is None:
            continue
        entries = [result.pop(f'{norm}.{name}', None) for name in _NORM_ENTRIES]
        gain, shift, mean = entries[:3]
        factor = torch.rsqrt(variance.double() + eps) * (1 if gain is None else gain.double())
        weight, bias = result[f'{conv}.weight'], result.get(f'{conv}.bias')
        offset = (0 if bias is None else bias.double()) - mean.double()
        offset = offset * factor + (0 if shift is None else shift.double())
        result[f'{conv}.weight'] = (weight.double() * factor.view(-1, *[1] * (weight.dim() - 1))).to(weight.dtype)
        result[f'{conv}.bias'] = offset.to(weight.dtype)
    return result
