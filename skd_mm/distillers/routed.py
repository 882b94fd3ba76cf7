"""The second pass of a routed step, in which samples change over between the two networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skd_mm.features import FeatureExtractor, StageEntry, constant, replayed_outputs, run_from_stage
from skd_mm.routing import Router


@dataclass(frozen=True)
class Branch:
    """A network as something that samples can enter behind each of its spots, for one batch.

    Attributes:
        network: The network.
        inputs: ``[B, C, H, W]``, its images.
        data_samples: One per image.
        entries: How it is entered.
        recorded: What stands for the outputs of its modules.
    """

    network: FeatureExtractor
    inputs: Tensor
    data_samples: Sequence[Any] | None
    entries: Sequence[StageEntry]
    recorded: Mapping[str, Any]

    def run(self, mode: str) -> Any:
        """Run the network on the batch in a mode, ``'tensor'`` or ``'loss'``."""
        return self.network.model(self.inputs, self.data_samples, mode=mode)

    def advance(self, given: Sequence[Tensor]) -> Tensor:
        """Runs the next stage, given the features at the ends of all before it."""
        return run_from_stage(self.network, lambda: self.run('tensor'), self.entries, given, self.recorded)


def multi_path(router: Router, gates: Tensor, student: Branch, teacher: Branch, targets: Mapping[str, Tensor],
               outputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """The multi-path pass, and what the router learns from it (SAKD, arXiv 2205.02399).

    The student is constant in it: in eval mode, and without a gradient for its parameters. So one backward pass of the
    student's losses and these gives what the authors' two give.

    Args:
        router: The router.
        gates: ``[B, spots]``, with their gradient.
        student: The student.
        teacher: The teacher.
        targets: Features of the teacher's own pass, that at its first spot among them: before it nothing is mixed.
        outputs: The student's own losses.

    Returns:
        The router's losses, see :meth:`skd_mm.routing.Router.losses`.
    """

    def next_teacher(given: Sequence[Tensor]) -> Tensor:
        return teacher.advance(given) if given else targets[teacher.entries[0].end]

    with constant(student.network.model):
        features = router.mix(gates, student.advance, next_teacher)
        mixed, _ = student.network.run(
            lambda: student.run('loss'),
            replay=replayed_outputs(student.network, student.entries, features, student.recorded))
    return router.losses(_task_loss(mixed), _task_loss(outputs), gates)


def _task_loss(losses: Mapping[str, Any]) -> Tensor:
    """A student's own loss as one number, without auxiliary heads."""
    return torch.stack([
        part.mean() for key, value in losses.items() if 'loss' in key and not key.startswith('aux')
        for part in (value if isinstance(value, list) else [value])]).sum()
