"""What a router costs: a routed step beside plain distillation, and beside the passes that it cannot do without."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from skd_mm.distillers import Distiller
from skd_mm.features import constant
from skd_mm.tasks import example_samples

from .benchmark import synchronise


@dataclass(frozen=True)
class RouterCost:
    """Milliseconds of a step, medians of interleaved runs.

    Attributes:
        teacher: A forward of the teacher without a gradient.
        student: A forward of the student in training mode, with a graph.
        plain: A step of the same distiller with all gates open and no policy: forwards, losses, backward.
        routed: A step with the policy.
        passes: The networks' passes of a routed step in a bare loop: the teacher without a gradient and once more with
            one for its input, the student with its backward and once more, constant, with one for its input.
    """

    teacher: float
    student: float
    plain: float
    routed: float
    passes: float

    @property
    def units(self) -> float:
        """Three forwards of the teacher and five of the student: what SAKD's algorithm needs.

        The teacher's forward, and one more with a backward for its input; the student's forward and backward, and one
        more forward with a backward for its input. A backward counts as two forwards, one for the input as one.
        """
        return 3 * self.teacher + 5 * self.student


def router_cost(routed: Distiller, plain: Distiller, shape: Sequence[int], batch_size: int, rounds: int) -> RouterCost:
    """Measures a step, on made-up images.

    Args:
        routed: A distiller with a router that learns, on its device; what is activated is what is measured.
        plain: The same with ``gate='always'``.
        shape: ``(C, H, W)`` of the images.
        batch_size: Images a step.
        rounds: How often each thing is timed, after one round that is not counted.

    Returns:
        The medians.
    """
    device = next(routed.parameters()).device
    inputs = torch.rand(batch_size, *shape, device=device)
    samples = example_samples(routed.student, shape, device, batch_size)
    student, teacher = routed.student, routed.teacher
    assert teacher is not None

    def forward(model: Any, images: Tensor) -> Tensor:
        return model(images, samples, mode='tensor')

    def step(distiller: Distiller) -> None:
        loss, _ = distiller.parse_losses(distiller.loss(inputs, samples))
        loss.backward()
        distiller.zero_grad(set_to_none=True)

    def teacher_forward() -> None:
        with torch.no_grad():
            forward(teacher, inputs)

    def for_the_input(model: Any) -> None:
        forward(model, inputs.clone().requires_grad_()).float().sum().backward()

    def passes() -> None:
        teacher_forward()
        for_the_input(teacher)
        forward(student, inputs).float().sum().backward()
        with constant(student):
            for_the_input(student)
        student.zero_grad(set_to_none=True)

    timed: dict[str, Callable[[], Any]] = dict(
        teacher=teacher_forward, student=lambda: forward(student, inputs), plain=lambda: step(plain),
        routed=lambda: step(routed), passes=passes)
    for distiller in (routed, plain):
        distiller.train()
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds + 1):
        for name, run in timed.items():
            synchronise()
            start = time.perf_counter()
            run()
            synchronise()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return RouterCost(**{name: 1000 * statistics.median(values) for name, values in seconds.items()})


def with_gate(cfg: Config, gate: str) -> Config:
    """A config whose router has another gate."""
    changed = Config(cfg.to_dict())
    changed.model.router['gate'] = gate
    return changed
