"""Look up the names in a config: classes in registries, keys in signatures."""

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmengine import registry as root
from mmengine.registry import Registry

from skd_mm.registry import SCOPE
from skd_mm.utils import did_you_mean

# Keys that builders take out of a config before they call the class.
BUILDER_KEYS = {'type', '_scope_', '_delete_'}


def find_class(registry: Registry, name: Any, scope: str | None) -> Any:
    """Look up the ``type`` of a config.

    Args:
        registry: The registry of its kind.
        name: The value of ``type``: a registered name, or a class or function itself.
        scope: The scope to look the name up in; None for MMEngine's own.

    Returns:
        The class or function, or None if there is none of that name.
    """
    if not isinstance(name, str) or not name:
        return name if callable(name) else None
    if registry.scope == SCOPE:
        prefix, _, plain = name.rpartition('.')
        return registry.get(plain) if prefix in ('', SCOPE) else None
    with registry.switch_scope_and_registry(scope) as scoped:
        return scoped.get(name)


def unknown_class(registry: Registry, name: Any, path: str, scope: str | None) -> str:
    """Describe a ``type`` that :func:`find_class` did not find.

    Args:
        registry: The registry.
        name: The value of ``type``.
        path: The path of the config that has it.
        scope: The scope that was searched.

    Returns:
        The error, with the closest registered names.
    """
    if registry.scope == SCOPE:
        names = list(registry.module_dict)
    else:
        with registry.switch_scope_and_registry(scope) as scoped:
            names = [*scoped.module_dict, *registry.module_dict]
        own = registry.children.get(SCOPE) or registry
        names += [f'{SCOPE}.{known}' for known in own.module_dict]
    hint = did_you_mean(name, sorted(set(names))) if isinstance(name, str) else ''
    if registry.scope == SCOPE and isinstance(name, str):
        hint = _elsewhere(registry, name) or hint
    if scope is None:
        hint += '; the config has no `default_scope` to look for more names in'
    return f'{path}.type: there is no {registry.name} {name!r}{hint}'


def _elsewhere(registry: Registry, name: str) -> str:
    """Return the hint for a class that is in another library's registry instead of ours."""
    plain = name.rpartition('.')[2]
    for scope, models in {'mmengine': root.MODELS, **root.MODELS.children}.items():
        if plain in models.module_dict:
            return (f'; {plain!r} is registered in {scope}.registry.MODELS, and a {registry.name} of a spot must be '
                    f'registered in {SCOPE}.registry: `@{_variable(registry)}.register_module()`')
    return ''


def _variable(registry: Registry) -> str:
    """Return the name under which ``skd_mm.registry`` has a registry."""
    from skd_mm import registry as registries
    return next(key for key, value in vars(registries).items() if value is registry)


def known_arguments(kind: Any) -> tuple[set[str], bool]:
    """Collect the names of the arguments that a class takes.

    Args:
        kind: A class, or a function.

    Returns:
        The names, including those of base classes that receive its ``**kwargs``; and whether the list is complete. It
        is not if another package's class hands its ``**kwargs`` on: they may go to something else than its base.
    """
    if not inspect.isclass(kind):
        parameters = _parameters(kind)
        return _named(parameters or []), parameters is not None and not _has_kwargs(parameters)
    known: set[str] = set()
    for base in inspect.getmro(kind):
        if '__init__' not in vars(base):
            continue
        parameters = _parameters(vars(base)['__init__'])
        if parameters is None:
            break
        known |= _named(parameters)
        if not _has_kwargs(parameters):
            trusted = kind.__module__.partition('.')[0] in (SCOPE, 'torch', 'mmengine')
            return known - {'self'}, trusted or base is kind or '__init__' not in vars(kind)
    return known - {'self'}, False


def _parameters(function: Any) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions in C have no signature
        return None


def _named(parameters: Iterable[inspect.Parameter]) -> set[str]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {parameter.name for parameter in parameters if parameter.kind in kinds}


def _has_kwargs(parameters: Iterable[inspect.Parameter]) -> bool:
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def unknown_keys(cfg: Mapping[str, Any], known: Iterable[str], path: str, owner: str) -> Iterator[str]:
    """Yield an error for each key that does not exist.

    Args:
        cfg: The config.
        known: The keys that it may have.
        path: Its path.
        owner: What takes the keys, with its article, such as ``'a Distiller'``.

    Yields:
        Errors with the closest keys, or all of them if none is close.
    """
    known = [key for key in known if key not in ('self', 'args', 'kwargs')]
    for key in cfg:
        if key not in known and key not in BUILDER_KEYS:
            hint = did_you_mean(key, known) or f' (it takes {sorted(known)})'
            yield f'{path}.{key}: {owner} takes no {key!r}{hint}'


def misspelt(name: Any, known: Iterable[str]) -> str | None:
    """Find the name that an unknown one was most likely meant for.

    Args:
        name: A name.
        known: The names that exist.

    Returns:
        The existing name; None if ``name`` exists itself, or resembles none of them closely.
    """
    known = set(known)
    if name in known or not isinstance(name, str):
        return None
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.84)
    if not close:
        close = [other for other in known if sorted(other) == sorted(name.lower())]
    return close[0] if close else None
