"""Cost of a router: a routed step, compared with plain distillation and with the passes that it needs."""

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
    """Times of a step in milliseconds, medians of interleaved runs.

    Attributes:
        teacher: A forward pass of the teacher without gradients.
        student: A forward pass of the student in training mode, with a graph.
        plain: A step of the same distiller with all gates open and no policy: forward passes, losses, backward pass.
        routed: A step with the policy.
        passes: The networks' passes of a routed step in a bare loop: the teacher without gradients and again with a
            gradient for its input, the student with its backward pass and again, constant, with a gradient for its
            input.
    """

    teacher: float
    student: float
    plain: float
    routed: float
    passes: float

    @property
    def units(self) -> float:
        """Three forward passes of the teacher and five of the student, which SAKD's algorithm needs.

        These are the teacher's forward pass, and another one with a backward pass for its input; the student's forward
        and backward passes, and another forward pass with a backward pass for its input. A backward pass counts as two
        forward passes, one for the input alone as one.
        """
        return 3 * self.teacher + 5 * self.student


def router_cost(routed: Distiller, plain: Distiller, shape: Sequence[int], batch_size: int, rounds: int) -> RouterCost:
    """Measure a step on random images.

    Args:
        routed: A distiller with a trained router, on its device; its active phase is measured.
        plain: The same with ``gate='always'``.
        shape: ``(C, H, W)`` of the images.
        batch_size: Images per step.
        rounds: Number of timed rounds, after one warm-up round.

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
