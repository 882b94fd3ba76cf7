"""Tensors in lists, tuples and dicts, as modules return them."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a nest of lists, tuples and dicts, in order."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def map_tensors(function: Callable[..., Any], *values: Any) -> Any:
    """Applies a function to the tensors in nests of lists, tuples and dicts that are alike.

    Args:
        function: Takes one tensor of each nest.
        *values: The nests.

    Returns:
        A nest of what it returned.
    """
    first = values[0]
    if isinstance(first, Tensor):
        return function(*values)
    if isinstance(first, Mapping):
        return {key: map_tensors(function, *(value[key] for value in values)) for key in first}
    if isinstance(first, list | tuple):
        parts = [map_tensors(function, *parts) for parts in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, '_fields') else type(first)(parts)
    return first
