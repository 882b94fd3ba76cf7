"""Which of a config's ``custom_imports`` the exported student needs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import Registry

import skd_mm.registry
from skd_mm.registry import SCOPE


def needed_imports(cfg: Config, imports: Sequence[str]) -> list[str]:
    """Leave out modules that an exported config does not use, such as those of the user's losses.

    A module is left out if it registers classes and the config names none of them. One that registers nothing is kept,
    as it is imported for what it does. If the config uses a class that none of the modules seems to bring, all of them
    are kept.

    Args:
        cfg: The exported config.
        imports: Modules that the config of the distillation imports, apart from this toolkit.

    Returns:
        Those that are needed, in the same order.
    """
    used = {kind.__module__ for kind in _used_classes(cfg)}
    registered = {kind.__module__ for registry in _registries() for kind in registry.module_dict.values()}
    needed = [name for name in imports if _has_any(name, used) or not _has_any(name, registered)]
    libraries = {'mmengine', 'mmcv', 'torch', 'torchvision', SCOPE, *mmengine.registry.MODELS.children}
    unexplained = [module for module in used if module.partition('.')[0] not in libraries
                   and not any(_has_any(name, [module]) for name in needed)]
    return list(imports) if unexplained else needed


def _has_any(package: str, modules: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f'{package}.') for module in modules)


def _used_classes(cfg: Config) -> Iterator[Any]:
    """Yield the classes of all names after ``type`` in a config, from every registry that has one of that name."""
    scope = cfg.get('default_scope')
    for name, own_scope in _types(cfg._cfg_dict, None):
        if not isinstance(name, str):
            yield name
            continue
        prefix, _, plain = name.rpartition('.')
        for root in _roots():
            kind = root.children.get(prefix or own_scope or scope, root).get(plain)
            if kind is not None:
                yield kind


def _types(value: Any, scope: str | None) -> Iterator[tuple[Any, str | None]]:
    """Yield the values of all keys ``type``, with the ``_scope_`` that holds there."""
    if isinstance(value, dict):
        scope = value.get('_scope_', scope)
        if 'type' in value:
            yield value['type'], scope
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _types(part, scope)


def _roots() -> list[Registry]:
    return [value for value in vars(mmengine.registry).values() if isinstance(value, Registry)]


def _registries() -> Iterator[Registry]:
    """Yield MMEngine's registries, those of all libraries below them, and this toolkit's own."""
    pending = _roots()
    pending += [value for value in vars(skd_mm.registry).values() if isinstance(value, Registry)]
    while pending:
        registry = pending.pop()
        yield registry
        pending += registry.children.values()
