"""Pytrees of tensors: lists, tuples, dicts and data samples, as returned by modules and data loaders."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


def tree_leaves(value: Any) -> list[Tensor]:
    """Return all tensors in a pytree of lists, tuples, dicts and data samples, in order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping | BaseDataElement):
        value = list(value.values())
    return [tensor for part in (value if isinstance(value, list | tuple) else ()) for tensor in tree_leaves(part)]


def tree_map(function: Callable[..., Any], *values: Any) -> Any:
    """Apply a function to the tensors in pytrees of the same structure.

    Args:
        function: Takes one tensor of each nest.
        *values: The nests.

    Returns:
        A pytree of its results.
    """
    first = values[0]
    if isinstance(first, Tensor):
        return function(*values)
    if isinstance(first, BaseDataElement):
        return first.new(**{key: tree_map(function, *(value.get(key) for value in values))
                            for key, _ in first.items()})
    if isinstance(first, Mapping):
        return {key: tree_map(function, *(value[key] for value in values)) for key in first}
    if isinstance(first, list | tuple):
        parts = [tree_map(function, *parts) for parts in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, '_fields') else type(first)(parts)
    return first


def tree_equal(one: Any, other: Any) -> bool:
    """Return whether two pytrees have the same structure and hold the same tensors, bit for bit.

    Args:
        one: A pytree. Values that are not tensors, such as the metainfo of data samples, are ignored.
        other: The other one.
    """
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping | BaseDataElement):
        if type(one) is not type(other) or set(one.keys()) != set(other.keys()):
            return False
        return all(tree_equal(value, other.get(key)) for key, value in one.items())
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(tree_equal, one, other))
    return not tree_leaves(other)
