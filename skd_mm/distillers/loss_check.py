"""Ending a run whose loss is not finite, without waiting for an accelerator before the backward pass."""

import logging
from collections.abc import Mapping

import torch
import torch.distributed as torch_dist
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch import Tensor

from skd_mm.utils import HostCopy

PATIENCE = 20
"""How many losses in a row may be infinite or NaN if a ``GradScaler`` skips the steps. It halves its scale each time:
after so many, gradients are lost to underflow."""


class LossCheck:
    """Check of the loss of each iteration on all processes.

    On an accelerator the result is read when the backward pass has been queued, so the accelerator stays busy, and
    before the optimizer's step.

    Args:
        patience: How many losses in a row may be infinite or NaN. 0, the default, ends the run at the first one; more
            needs a ``GradScaler``, which skips the step.
    """

    def __init__(self, patience: int = 0) -> None:
        self.patience = patience
        self._failures: dict[tuple[str, ...], int] = {}

    def __call__(self, total: Tensor, logged: Mapping[str, Tensor]) -> None:
        """Check a loss now, or in its backward pass if it is on an accelerator.

        Args:
            total: The loss.
            logged: What it consists of, and what else is logged.

        Raises:
            FloatingPointError: The loss is not finite; the parts that are not are named. On an accelerator it is raised
                by the backward pass.
        """
        failed = (~torch.isfinite(total.detach())).float()
        if get_world_size() > 1:
            torch_dist.all_reduce(failed)  # all processes end together, or none
        result = HostCopy(failed)
        # Without its graph: a hook that refers to the loss would keep it for ever.
        values = {name: value.detach() for name, value in logged.items()}
        if result.immediate or not total.requires_grad:
            self._judge(result, values)
            return

        def queue(gradient: Tensor) -> None:
            torch.autograd.Variable._execution_engine.queue_callback(lambda: self._judge(result, values))

        total.register_hook(queue)

    def _judge(self, result: HostCopy, values: Mapping[str, Tensor]) -> None:
        key = tuple(values)
        if not result.read():
            self._failures.pop(key, None)
            return
        self._failures[key] = self._failures.get(key, 0) + 1
        infinite = [f'{name} is {value.item()}' for name, value in values.items()
                    if 'loss' in name and not torch.isfinite(value)]
        parts = [entry for entry in infinite if not entry.startswith('loss ')]
        message = f'the loss is not finite: {", ".join(parts or infinite or ["that of another process"])}'
        if self._failures[key] <= self.patience:
            print_log(f'{message}; the optimizer skips this step', logger='current', level=logging.WARNING)
            return
        if self.patience:
            message += f', {self._failures[key]} times in a row'
        raise FloatingPointError(message)
