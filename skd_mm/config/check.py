"""The check of a whole config: one function that runs those of its parts."""

from collections.abc import Iterator, Mapping

from mmengine import registry as root
from mmengine.config import Config

from skd_mm.registry import SCOPE

from .component import check_component
from .data import check_loader, check_unlabelled
from .model import check_distiller
from .optimization import check_optim_wrapper, check_schedulers
from .runner import (
    check_evaluators,
    check_hooks,
    check_loops,
    check_scope,
    check_sections,
    check_top_level,
    check_visualizer,
)
from .schedule import check_schedule


class ConfigError(ValueError):
    """Names or values in a config that do not exist or make no sense."""


def check_config(cfg: Config) -> list[str]:
    """Check the keys, types and simple values of a config, before anything is built from it.

    It covers the top-level keys, ``schedule``, ``model`` with its spots, the data loaders with their data sets and
    pipelines, optimizer, parameter schedulers, hooks, loops, metrics and logging. If a class from another package
    accepts arbitrary keyword arguments, its keys are only compared with those of its own signature to find
    misspellings. Top-level names that resemble none of MMEngine's are taken for the config's own variables.

    Args:
        cfg: The config. It is not changed.

    Returns:
        Warnings, one line each: suspicious top-level names of a config that is not a distillation. The configs of the
        model zoos have some.

    Raises:
        ConfigError: All errors together, one per line, each with its config path (``schedule.phase_epoch``) and the
            closest valid name.
    """
    scope_faults = list(check_scope(cfg.get('default_scope')))
    if scope_faults:
        raise ConfigError(scope_faults[0])  # no other name can be looked up
    faults = list(check_sections(cfg))
    top = list(check_top_level(cfg))
    if not faults:
        faults = list(_check_parts(cfg))
    warnings = top
    if 'schedule' in cfg or _is_distiller(cfg.get('model')):
        faults, warnings = top + faults, []
    if faults:
        raise ConfigError('\n'.join(dict.fromkeys(faults)))
    return warnings


def _is_distiller(model: object) -> bool:
    return isinstance(model, Mapping) and str(model.get('type')) in (f'{SCOPE}.Distiller', 'Distiller')


def _check_parts(cfg: Config) -> Iterator[str]:
    """Yield the errors below the top level."""
    scope = cfg.get('default_scope')
    model = cfg.get('model') or {}
    if _is_distiller(model):
        yield from check_distiller(model, scope)
    else:
        yield from check_component(root.MODELS, model, 'model', scope)
    if 'schedule' in cfg:
        yield from check_schedule(cfg, scope)
    for split in ('train', 'val', 'test'):
        yield from check_loader(cfg.get(f'{split}_dataloader'), f'{split}_dataloader', scope)
    yield from check_unlabelled(cfg, scope)
    yield from check_loops(cfg, scope)
    yield from check_evaluators(cfg, scope)
    yield from check_optim_wrapper(cfg.get('optim_wrapper'), 'optim_wrapper', scope)
    yield from check_schedulers(cfg.get('param_scheduler'), 'param_scheduler', scope)
    yield from check_hooks(cfg, scope)
    yield from check_visualizer(cfg.get('visualizer'), scope)
    yield from check_component(root.LOG_PROCESSORS, cfg.get('log_processor'), 'log_processor', scope,
                               default='LogProcessor', single=True)
