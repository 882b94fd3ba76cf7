"""The checks of optimizers and parameter schedulers."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry as root

from .component import check_component


def check_optim_wrapper(cfg: Any, path: str, scope: str | None) -> Iterator[str]:
    """Check an optimizer wrapper with its optimizer.

    Args:
        cfg: The config.
        path: Its path.
        scope: The scope in which its types are looked up.

    Yields:
        Errors, each with its path.
    """
    yield from check_component(root.OPTIM_WRAPPERS, cfg, path, scope, default='OptimWrapper')


def check_phase_optim_wrapper(cfg: Any, base: Any, path: str, scope: str | None) -> Iterator[str]:
    """Check a phase's changes of the optimizer wrapper, which are merged into the config's own.

    Args:
        cfg: The changes.
        base: The config's own ``optim_wrapper``, whose types hold unless the phase names others.
        path: The path of the changes.
        scope: The scope in which their types are looked up.

    Yields:
        Errors, each with its path.
    """
    if not isinstance(cfg, Mapping):
        return
    base = base if isinstance(base, Mapping) else {}
    merged = {'type': base.get('type', 'OptimWrapper'), **cfg}
    if isinstance(cfg.get('optimizer'), Mapping):
        merged['optimizer'] = {'type': (base.get('optimizer') or {}).get('type'), **cfg['optimizer']}
    yield from check_optim_wrapper(merged, path, scope)


def check_schedulers(cfg: Any, path: str, scope: str | None) -> Iterator[str]:
    """Check parameter schedulers.

    Args:
        cfg: One config, a list of them, or a dict with such a list per optimizer.
        path: Its path.
        scope: The scope in which their types are looked up.

    Yields:
        Errors, each with its path.
    """
    if isinstance(cfg, Mapping) and 'type' not in cfg:
        for name, part in cfg.items():
            yield from check_component(root.PARAM_SCHEDULERS, part, f'{path}.{name}', scope)
    else:
        yield from check_component(root.PARAM_SCHEDULERS, cfg, path, scope)
