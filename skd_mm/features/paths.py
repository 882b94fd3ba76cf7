"""Paths of modules within a model, and how two of them relate."""

from collections.abc import Iterable


def ancestors(path: str) -> list[str]:
    """Return the paths of all modules that contain a module.

    Args:
        path: The path of a module, such as ``'backbone.layer1'``.

    Returns:
        The model (``''``) first, the module itself last.
    """
    parts = path.split('.')
    return ['.'.join(parts[:k]) for k in range(len(parts) + 1)]


def is_within(name: str, paths: Iterable[str]) -> bool:
    """Return whether a module or parameter is one of the given ones, or within one of them.

    Args:
        name: The path of a module or parameter.
        paths: Paths of modules and parameters; ``''`` is the whole model.

    Returns:
        True or False.
    """
    return any(not path or name == path or name.startswith(f'{path}.') for path in paths)


def overlaps(one: str, other: str) -> bool:
    """Return whether one of two paths is within the other.

    Args:
        one: The path of a module or parameter.
        other: Another one.

    Returns:
        True or False.
    """
    return is_within(one, [other]) or is_within(other, [one])


def join(parent: str, child: str) -> str:
    """Return the path of a child of a module.

    Args:
        parent: The path of the module; ``''`` is the model.
        child: The child's name in it.

    Returns:
        The path.
    """
    return f'{parent}.{child}' if parent else child
