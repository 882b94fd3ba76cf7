"""Ordinary runs of MMEngine, without phases, that resume exactly."""

from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from .hooks import DueValidationHook
from .resume import choose_checkpoint


def resume_exactly(runner: Any) -> None:
    """Make an ordinary run resumable at any moment, with the same best checkpoint as without an interruption.

    It keeps at least two checkpoints, since MMEngine removes the old one before it writes the new one. It validates
    the state it resumes from if a validation was due there.

    Args:
        runner: The Runner, before it loads anything.

    Raises:
        CheckpointError: As :func:`~skd_mm.engine.resume.choose_checkpoint`.
    """
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.max_keep_ckpts == 1:
            hook.max_keep_ckpts = 2
    if isinstance(runner.train_loop, EpochBasedTrainLoop | IterBasedTrainLoop):
        runner.register_hook(DueValidationHook())
    choose_checkpoint(runner)
