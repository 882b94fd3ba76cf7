"""Replacing MMEngine's default hooks with those that know phases."""

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.runner import LogProcessor

from skd_mm.engine.log_processor import PhaseLogProcessor

from .broadcast_buffers_hook import BroadcastBuffersHook
from .keep_rate_hook import KeepRateHook
from .phase_checkpoint_hook import PhaseCheckpointHook
from .phase_hook import PhaseHook

# Settings of MMEngine's CheckpointHook that apply to phases.
_KEPT = {'interval', 'by_epoch', 'save_best', 'rule', 'max_keep_ckpts'}


def replace_default_hooks(runner: Any, has_router: bool, is_quantised: bool = False) -> PhaseCheckpointHook:
    """Replace MMEngine's checkpoint hook and log processor, and registers the hooks that a schedule needs.

    Args:
        runner: The runner.
        has_router: Whether the model has a router, whose keep rates are plotted.
        is_quantised: Whether the student is fake-quantised, and its ranges must be chosen before the training.

    Returns:
        The hook that writes checkpoints: the config's own :class:`PhaseCheckpointHook`, wherever it is, or one with the
        settings of the last ``CheckpointHook``.

    Raises:
        ValueError: The config has several :class:`PhaseCheckpointHook`.
    """
    hooks = runner._hooks
    given = [hook for hook in hooks if isinstance(hook, PhaseCheckpointHook)]
    if len(given) > 1:
        raise ValueError('the config has several PhaseCheckpointHooks; give one, as `default_hooks.checkpoint`')
    replaced = [hook for hook in hooks if isinstance(hook, CheckpointHook)]
    hooks[:] = [hook for hook in hooks if not isinstance(hook, CheckpointHook)]
    if given:
        checkpoints = given[0]
    else:
        checkpoints = _checkpoint_hook(runner, replaced[-1]) if replaced else PhaseCheckpointHook()
        runner.register_hook(checkpoints)
    for hook in hooks:
        if isinstance(hook, LoggerHook):
            hook.log_metric_by_epoch = False
    _register_missing(runner, has_router, is_quantised)
    processor = runner.log_processor
    if type(processor) is LogProcessor:
        runner.log_processor = PhaseLogProcessor(
            window_size=processor.window_size, custom_cfg=processor.custom_cfg, num_digits=processor.num_digits)
    return checkpoints


def _register_missing(runner: Any, has_router: bool, is_quantised: bool) -> None:
    """Register the hooks that a schedule needs and the config does not have."""
    needed: list[type[Hook]] = [PhaseHook, BroadcastBuffersHook]
    if has_router:
        needed.append(KeepRateHook)
    for kind in needed:
        if not any(isinstance(hook, kind) for hook in runner._hooks):
            runner.register_hook(kind())
    if is_quantised and not any(type(hook).__name__ == 'CalibrationHook' for hook in runner._hooks):
        runner.register_hook(dict(type='skd_mm.CalibrationHook'))


def _checkpoint_hook(runner: Any, replaced: CheckpointHook) -> PhaseCheckpointHook:
    """The hook with the settings of the config's ``CheckpointHook``; logs which of them do not apply to phases."""
    settings: dict[str, Any] = {}
    for cfg in [(runner.cfg.get('default_hooks') or {}).get('checkpoint'), *(runner.cfg.get('custom_hooks') or ())]:
        if isinstance(cfg, Mapping) and 'CheckpointHook' in str(cfg.get('type', 'CheckpointHook')):
            settings = dict(cfg)
    unused = sorted(set(settings) - {'type', 'priority', '_scope_'} - _KEPT)
    if unused:
        runner.logger.info(f'default_hooks.checkpoint: {unused} of CheckpointHook do not apply to phases')
    return PhaseCheckpointHook.from_mmengine(replaced, settings)
