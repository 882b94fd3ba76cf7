"""The second pass of a routed step, in which samples change over between the two networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skd_mm.features import (
    FeatureExtractor,
    PairOutputs,
    StageEntry,
    constant,
    recorded_paths,
    replayed_outputs,
    run_from_stage,
)
from skd_mm.routing import Router


@dataclass(frozen=True)
class Branch:
    """A network that can be run from each of its spots, for one batch.

    Attributes:
        network: The network.
        inputs: ``[B, C, H, W]``, its images.
        data_samples: One per image.
        entries: How it is entered.
        recorded: Placeholders for the outputs of its modules.
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
        """Run the next stage, given the features at the ends of all before it."""
        return run_from_stage(self.network, lambda: self.run('tensor'), self.entries, given, self.recorded)


@dataclass(frozen=True)
class Routing:
    """A router, and its inputs from both networks.

    Attributes:
        router: The router over all spots.
        policy_input: For ``'student'`` and ``'teacher'``, the name of the feature that the policy sees.
        ends: For both, the names of the features at the spots.
        entries: For both, how the network is entered after each of them; empty if no policy is trained.
    """

    router: Router
    policy_input: Mapping[str, str]
    ends: Mapping[str, Sequence[str]]
    entries: Mapping[str, list[StageEntry]]

    @property
    def features(self) -> dict[str, tuple[str, Sequence[str]]]:
        """For both networks, the feature that the policy sees and those at the spots."""
        return {role: (self.policy_input[role], self.ends[role]) for role in self.ends}

    def recorded(self) -> dict[str, dict[str, Any]]:
        """For both networks, a dict to be filled with placeholders of what the modules return."""
        return {role: dict.fromkeys(recorded_paths(entries)) for role, entries in self.entries.items()}

    def draw(self, outputs: PairOutputs) -> Tensor:
        """Draw the gates of a batch.

        Args:
            outputs: What both networks returned.

        Returns:
            ``[B, spots]``.
        """
        return self.router.draw(outputs.features[self.policy_input['student']],
                                outputs.targets[self.policy_input['teacher']])


def multi_path(routing: Routing, gates: Tensor, student: Branch, teacher: Branch,
               outputs: PairOutputs) -> dict[str, Tensor]:
    """Run the multi-path pass, and return what the router is trained on (SAKD, arXiv 2205.02399).

    The student is constant in it: in eval mode, and without gradients for its parameters. So one backward pass of the
    student's losses and these gives what the authors' two give.

    Args:
        routing: The router.
        gates: ``[B, spots]``, with their gradient.
        student: The student.
        teacher: The teacher.
        outputs: The outputs of both networks in their own pass: the teacher's feature at its first spot is reused,
            because nothing is mixed before it.

    Returns:
        The router's losses, see :meth:`skd_mm.routing.Router.losses`.
    """

    def next_teacher(given: Sequence[Tensor]) -> Tensor:
        return teacher.advance(given) if given else outputs.targets[teacher.entries[0].end]

    with constant(student.network.model):
        features = routing.router.mix(gates, student.advance, next_teacher)
        mixed, _ = student.network.run(
            lambda: student.run('loss'),
            replay=replayed_outputs(student.network, student.entries, features, student.recorded))
    return routing.router.losses(_task_loss(mixed), _task_loss(outputs.student), gates)


def _task_loss(losses: Mapping[str, Any]) -> Tensor:
    """Return a student's own loss as one number, without auxiliary heads."""
    return torch.stack([
        part.mean() for key, value in losses.items() if 'loss' in key and not key.startswith('aux')
        for part in (value if isinstance(value, list) else [value])]).sum()
