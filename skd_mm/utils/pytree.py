"""Pytrees of tensors: lists, tuples, dicts and data samples, as returned by modules and data loaders."""

from collections.abc import Callable, Mapping
from typing import Any

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
