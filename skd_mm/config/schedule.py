"""The check of a schedule and its phases."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from skd_mm.registry import RECIPES, SCOPE
from skd_mm.schedules import Phase
from skd_mm.schedules.polish import MIX

from .names import BUILDER_KEYS, find_class, known_arguments, unknown_class, unknown_keys
from .optimization import check_phase_optim_wrapper, check_schedulers

# A schedule cannot set these for all its phases at once.
_PER_PHASE = {'name', 'train', 'spots', 'task', 'epochs', 'iters'}
_RUNNER_KEYS = {*inspect.signature(Runner).parameters}


def check_schedule(cfg: Config, scope: str | None) -> Iterator[str]:
    """Check ``schedule`` and the settings of its phases.

    Args:
        cfg: The whole config.
        scope: Its ``default_scope``.

    Yields:
        Errors, each with its path.
    """
    schedule = cfg.schedule
    recipe = find_class(RECIPES, schedule.get('type'), SCOPE)
    if recipe is None:
        yield unknown_class(RECIPES, schedule.get('type'), 'schedule', SCOPE)
        return
    settings = set(Phase.settings())
    arguments, _ = known_arguments(recipe)
    known = (arguments | (settings - _PER_PHASE)) - {'common', 'kwargs'}
    yield from _check_keys(schedule, known, 'schedule', f'a {recipe.__name__} schedule')
    phases = dict(_phase_configs(schedule, 'head' in arguments))
    if 'polish' in arguments and schedule.get('polish') is not None:
        phases['schedule.polish'] = schedule['polish']
    for path, phase in phases.items():
        if isinstance(phase, Mapping):
            known = settings | set(MIX) if path == 'schedule.polish' else settings
            yield from _check_keys(phase, known, path, 'a phase')
        else:
            yield f'{path} must be a dict, not {phase!r}'
    for path, part in {'schedule': schedule, **phases}.items():
        if isinstance(part, Mapping):
            yield from check_phase_optim_wrapper(
                part.get('optim_wrapper'), cfg.get('optim_wrapper'), f'{path}.optim_wrapper', scope)
            yield from check_schedulers(part.get('param_scheduler'), f'{path}.param_scheduler', scope)
    yield from _check_task_head(cfg)


def _phase_configs(schedule: Mapping[str, Any], has_head: bool) -> Iterator[tuple[str, Any]]:
    """Yield the path and the config of each phase that the schedule spells out."""
    overrides = schedule.get('overrides')
    if isinstance(overrides, Mapping):
        for name, phase in overrides.items():
            yield f'schedule.overrides.{name}', phase
    for i, phase in enumerate(schedule.get('phases') or ()):
        yield f'schedule.phases[{i}]', phase
    if has_head and schedule.get('head') is not None:
        yield 'schedule.head', schedule['head']


def _check_keys(cfg: Mapping[str, Any], known: set[str], path: str, owner: str) -> Iterator[str]:
    """Yield errors as :func:`unknown_keys` does; a key of the Runner is sent to the top level."""
    misplaced = {key for key in cfg if key in _RUNNER_KEYS - known - BUILDER_KEYS}
    for key in sorted(misplaced):
        yield f'{path}.{key}: {owner} takes no {key!r}; it belongs to the top level of the config'
    yield from unknown_keys({key: value for key, value in cfg.items() if key not in misplaced}, known, path, owner)


def _check_task_head(cfg: Config) -> Iterator[str]:
    """Refuse ``task_head`` without spots: what follows the last spot would be the whole student."""
    model = cfg.get('model')
    if not isinstance(model, Mapping) or model.get('spots', ()) not in ((), []):
        return
    for path, phase in _phase_configs(cfg.schedule, has_head=False):
        train = phase.get('train') if isinstance(phase, Mapping) else None
        if train == 'task_head' or (isinstance(train, list | tuple) and 'task_head' in train):
            yield (f"{path}.train: 'task_head' is the part of the student after the last spot, and model.spots is "
                   "empty: write 'all' for the whole student, or name modules such as 'decode_head'")
