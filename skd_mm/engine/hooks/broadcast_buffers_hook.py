"""The hook that keeps buffers equal on all processes."""

from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper

from skd_mm.engine.broadcast import broadcast_buffers
from skd_mm.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Hook that broadcasts buffers from rank 0 before each validation and checkpoint and at the end of a phase.

    Each process updates the running statistics of its BN layers from its own samples, and MMEngine's data-parallel
    wrapper does not synchronise them. A checkpoint holds those of rank 0, so the other processes must validate and
    continue with the same ones. :class:`PhaseLoop` registers this hook.
    """

    priority = 'VERY_HIGH'

    def before_val_epoch(self, runner: Any) -> None:
        """Validate with the same buffers on all processes."""
        _broadcast(runner)

    def after_step(self, runner: Any, due: bool) -> None:
        """Continue after a checkpoint with the buffers that it holds."""
        if due:
            _broadcast(runner)


def _broadcast(runner: Any) -> None:
    broadcast_buffers(runner.model.module if is_model_wrapper(runner.model) else runner.model)
    for hook in runner.hooks:
        # It may average buffers, and validates and saves the average instead of the model.
        if isinstance(hook, EMAHook):
            broadcast_buffers(hook.ema_model)
