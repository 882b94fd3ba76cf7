"""The hook that connects phases to checkpoints and to MMEngine's hooks."""

from typing import Any

from mmengine.hooks import EarlyStoppingHook, EMAHook, Hook

from skd_mm.engine.load_from import adapt_weights
from skd_mm.engine.teacher_record import TeacherRecord
from skd_mm.registry import HOOKS


@HOOKS.register_module()
class PhaseHook(Hook):
    """Hook that saves and restores the position in the schedule, and resets other hooks' state in each phase.

    :class:`PhaseLoop` registers this hook.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._teacher: TeacherRecord | None = None

    def _record(self, runner: Any) -> TeacherRecord:
        if self._teacher is None:
            self._teacher = TeacherRecord(runner)
        return self._teacher

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Add the position in the schedule to a checkpoint."""
        checkpoint['schedule'] = dict(
            runner.train_loop.state_dict(),
            teacher=self._record(runner).state_dict(runner.train_loop.distiller.teacher),
            early_stopping=[(hook.wait_count, hook.best_score) for hook in _early_stopping(runner)])

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Rebuild the phase of a checkpoint that is resumed, before its weights and optimizer state are loaded.

        The weights of a plain student, as ``load_from``, are renamed to those of the distiller's student.

        Raises:
            ValueError: The checkpoint to resume from was not written by a schedule, by another one, with another batch
                size or another teacher; or the checkpoint to load has no weights of the student.
        """
        if not runner._resume:
            adapt_weights(checkpoint, runner.train_loop.distiller, runner.logger)
            return
        if 'schedule' not in checkpoint:
            raise ValueError('the checkpoint to resume from was not written by a schedule; to start from its weights, '
                             'give it as `load_from` without --resume')
        loop = runner.train_loop
        loop.load_state_dict(checkpoint['schedule'])
        self._record(runner).restore(loop.distiller.teacher, checkpoint['schedule']['teacher'])
        for hook, state in zip(_early_stopping(runner), checkpoint['schedule']['early_stopping'], strict=False):
            hook.wait_count, hook.best_score = state

    def before_phase(self, runner: Any) -> None:
        """Restart early stopping, the moving average of the weights, and the values that are logged."""
        for hook in _early_stopping(runner):
            hook.wait_count = 0
            hook.best_score = -float('inf') if hook.rule == 'greater' else float('inf')
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.ema_model.module.load_state_dict(hook.src_model.state_dict())
                hook.ema_model.steps.zero_()
        # Values that another phase logged must not appear in this phase's lines.
        for key in [key for key in runner.message_hub.log_scalars if key.startswith(('train/', 'val/'))]:
            runner.message_hub.log_scalars.pop(key)
            runner.message_hub._resumed_keys.pop(key, None)


def _early_stopping(runner: Any) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
