"""The hook that repeats a validation that an interruption prevented."""

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop

from skd_mm.registry import HOOKS


@HOOKS.register_module()
class DueValidationHook(Hook):
    """Hook that validates the state that an ordinary run resumes from, if a validation was due: it may be the best.

    MMEngine saves a checkpoint before it validates, and a resumed run continues after both. This repeats the validation
    if it has been done, which changes nothing.
    """

    priority = 'LOWEST'  # after the checkpoint hook, which keeps the best state

    def before_train(self, runner: Any) -> None:
        """Validate if the run resumes where a validation was due."""
        loop = runner.train_loop
        if isinstance(loop, EpochBasedTrainLoop):
            done, last = loop.epoch, loop.max_epochs
        else:
            done, last = loop.iter, loop.max_iters
        is_due = done % loop.val_interval == 0 or done == last
        if runner.val_loop is not None and done and loop.val_begin <= done and is_due:
            runner.val_loop.run()
