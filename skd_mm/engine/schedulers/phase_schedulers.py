"""Parameter schedulers of a phase."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmengine.registry import PARAM_SCHEDULERS

from skd_mm.evaluation.spot_loss import SPOT_LOSS
from skd_mm.schedules import Phase

PHASE = 'phase'
"""Value of a length in a scheduler's config that stands for the length of the phase."""
# Lengths in the configs of MMEngine's schedulers, counted from the start of the phase, and from `begin`.
_ENDS = ('end', )
_DURATIONS = ('total_steps', 'T_max')
# Absolute values of the scheduled parameter.
_VALUES = ('eta_max', 'eta_min', 'min_value')


def schedulers_of_phase(cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]], phase: Phase, iterations: int,
                        epochs: int, lr_ratio: float = 1.0) -> list[dict[str, Any]]:
    """Adapt the configs of parameter schedulers to a phase.

    A missing ``end``, or a length that is ``'phase'``, means the end of the phase; so does a missing ``total_steps`` of
    OneCycle. ``ReduceOnPlateau`` schedulers monitor the spot loss in a phase that is validated by it, where there
    is no other metric.

    Args:
        cfgs: The configs, or one of them. They are not changed.
        phase: The phase.
        iterations: Its length in iterations.
        epochs: Its length in epochs.
        lr_ratio: Factor of absolute learning rates (``eta_max``, ``eta_min``, ``min_value``), which scaling the
            optimizer's learning rate does not reach. Defaults to 1.

    Returns:
        The configs for MMEngine's registry.
    """
    adapted = []
    for cfg in [cfgs] if isinstance(cfgs, Mapping) else cfgs:
        length = epochs if cfg.get('by_epoch', True) else iterations
        cfg = _with_lengths(cfg, length)
        if lr_ratio != 1 and _schedules_lr(cfg):
            cfg.update({key: _scaled(cfg[key], lr_ratio) for key in _VALUES if cfg.get(key) is not None})
        if not phase.validates_task and is_plateau(cfg):
            cfg.update(monitor=SPOT_LOSS, rule='less')
        adapted.append(cfg)
    return adapted


def misfits(cfgs: Mapping[str, Any] | Sequence[Mapping[str, Any]], iterations: int, epochs: int) -> Iterator[str]:
    """Find lengths in the configs of parameter schedulers that exceed a phase.

    Args:
        cfgs: The configs, or one of them.
        iterations: Length of the phase in iterations.
        epochs: Its length in epochs.

    Yields:
        A description of each, such as ``"param_scheduler[0] (PolyLR): end=80000"``.
    """
    for i, cfg in enumerate([cfgs] if isinstance(cfgs, Mapping) else cfgs):
        length = epochs if cfg.get('by_epoch', True) else iterations
        begin = cfg.get('begin', 0)
        for key in (*_ENDS, *_DURATIONS, 'milestones'):
            value = cfg.get(key)
            if value is None or value == PHASE:
                continue
            last = max(value, default=0) if isinstance(value, Sequence) else value
            if last + (begin if key in _DURATIONS else 0) > length:
                yield f'param_scheduler[{i}] ({_type_name(cfg)}): {key}={value}'


def build_schedulers(cfgs: Sequence[Mapping[str, Any]], optim_wrapper: Any, epoch_length: int) -> list[Any]:
    """Build parameter schedulers.

    Args:
        cfgs: What :func:`schedulers_of_phase` returned.
        optim_wrapper: The optimizer wrapper that they change.
        epoch_length: Iterations per epoch, for schedulers that convert epochs to iterations.

    Returns:
        The schedulers.
    """
    # Not by the Runner, which takes the length of an epoch from a loader that belongs to another phase.
    return [PARAM_SCHEDULERS.build(dict(cfg), default_args=dict(optimizer=optim_wrapper, epoch_length=epoch_length))
            for cfg in cfgs]


def is_plateau(cfg: Mapping[str, Any]) -> bool:
    """Return whether a scheduler reacts to a metric of the validation."""
    kind = _class(cfg)
    return inspect.isclass(kind) and issubclass(kind, ReduceOnPlateauParamScheduler)


def _with_lengths(cfg: Mapping[str, Any], length: int) -> dict[str, Any]:
    cfg = dict(cfg)
    begin = cfg.get('begin', 0)
    for key in _ENDS:
        if cfg.get(key) == PHASE:
            cfg[key] = length
    for key in _DURATIONS:
        if cfg.get(key) == PHASE:
            cfg[key] = length - begin
    if 'OneCycle' in _type_name(cfg):
        # MMEngine's scheduler raises an error if it is stepped beyond `total_steps`.
        cfg.setdefault('end', begin + cfg['total_steps'] if cfg.get('total_steps') else length)
        cfg.setdefault('total_steps', cfg['end'] - begin)
    cfg.setdefault('end', length)
    return cfg


def _schedules_lr(cfg: Mapping[str, Any]) -> bool:
    kind = _class(cfg)
    return cfg.get('param_name') == 'lr' or (inspect.isclass(kind) and issubclass(kind, LRSchedulerMixin))


def _scaled(value: Any, ratio: float) -> Any:
    return [entry * ratio for entry in value] if isinstance(value, Sequence) else value * ratio


def _class(cfg: Mapping[str, Any]) -> Any:
    kind = cfg['type']
    return PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind


def _type_name(cfg: Mapping[str, Any]) -> str:
    return cfg['type'] if isinstance(cfg['type'], str) else cfg['type'].__name__
