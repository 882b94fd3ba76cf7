"""The hook that ties the phases to the rest of MMEngine."""

from typing import Any

from mmengine.hooks import EarlyStoppingHook, EMAHook, Hook

from skd_mm.registry import HOOKS


@HOOKS.register_module()
class PhaseHook(Hook):
    """Puts the phase into every checkpoint, takes it out on resume, and lets other hooks begin anew in every phase.

    :class:`PhaseLoop` registers it by itself.
    """

    priority = 'VERY_HIGH'

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Writes the schedule's state into a checkpoint."""
        checkpoint['schedule'] = dict(
            runner.train_loop.state_dict(),
            early_stopping=[(hook.wait_count, hook.best_score) for hook in _early_stopping(runner)])

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Rebuilds the phase of a checkpoint that is resumed, before its weights and optimizer state are read.

        Raises:
            ValueError: The checkpoint is not one of a schedule, or of another schedule.
        """
        if not runner._resume:
            return
        if 'schedule' not in checkpoint:
            raise ValueError('the checkpoint to resume from was not written by a schedule; to start from its weights, '
                             'give it as `load_from` without --resume')
        runner.train_loop.load_state_dict(checkpoint['schedule'])
        for hook, state in zip(_early_stopping(runner), checkpoint['schedule']['early_stopping'], strict=False):
            hook.wait_count, hook.best_score = state

    def before_phase(self, runner: Any) -> None:
        """Restarts what counts within a phase: early stopping, and the moving average of the weights."""
        for hook in _early_stopping(runner):
            hook.wait_count = 0
            hook.best_score = -float('inf') if hook.rule == 'greater' else float('inf')
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.ema_model.module.load_state_dict(hook.src_model.state_dict())
                hook.ema_model.steps.zero_()


def _early_stopping(runner: Any) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
