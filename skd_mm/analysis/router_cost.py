"""The cost of a router: a routed step compared with plain distillation, and with the passes that it needs at least."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from skd_mm.distillers import Distiller
from skd_mm.features import constant
from skd_mm.tasks import example_samples

from . import flops
from .benchmark import interleaved
from .config_model import build_model, config_phases, config_shape


@dataclass(frozen=True)
class RouterCost:
    """Milliseconds per step, medians of interleaved runs.

    Attributes:
        teacher: A forward pass of the teacher without autograd.
        student: A forward pass of the student in training mode, with a graph.
        plain: A step of the same distiller with all gates open and no policy: forward passes, losses, backward pass.
        routed: A step with the policy.
        passes: The networks' passes of a routed step in a plain loop: the teacher without autograd and once more with
            the gradient for its input; the student with its backward pass and once more, with constant parameters, with
            the gradient for its input.
    """

    teacher: float
    student: float
    plain: float
    routed: float
    passes: float

    @property
    def units(self) -> float:
        """Three forward passes of the teacher and five of the student: what SAKD's algorithm needs.

        The teacher's forward pass, and one more with a backward pass for its input; the student's forward and backward
        pass, and one more forward pass with a backward pass for its input. A backward pass counts as two forward
        passes, one for the input as one.
        """
        return 3 * self.teacher + 5 * self.student


def router_cost(routed: Distiller, plain: Distiller, shape: Sequence[int], batch_size: int, rounds: int) -> RouterCost:
    """Measure a step, on random images.

    Args:
        routed: A distiller with a trained router, on its device; the active phase is measured.
        plain: The same with ``gate='always'``.
        shape: ``(C, H, W)`` of the images.
        batch_size: Images per step.
        rounds: How often each is timed, after one round for warm-up.

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

    def input_gradient(model: Any) -> None:
        forward(model, inputs.clone().requires_grad_()).float().sum().backward()

    def passes() -> None:
        teacher_forward()
        input_gradient(teacher)
        forward(student, inputs).float().sum().backward()
        with constant(student):
            input_gradient(student)
        student.zero_grad(set_to_none=True)

    timed: dict[str, Callable[[], Any]] = dict(
        teacher=teacher_forward, student=lambda: forward(student, inputs), plain=lambda: step(plain),
        routed=lambda: step(routed), passes=passes)
    for distiller in (routed, plain):
        distiller.train()
    return RouterCost(**{name: median(times) for name, times in interleaved(timed, rounds).items()})


def config_router_cost(cfg: Config, device: str, batch_size: int | None = None, rounds: int = 20) -> dict[str, Any]:
    """Measure a step of a config with a router, and count its operations.

    Args:
        cfg: The config; the last phase is measured, with random weights.
        device: The device.
        batch_size: Images per step; the config's by default.
        rounds: See :func:`router_cost`. Defaults to 20.

    Returns:
        ``milliseconds``, the attributes of :class:`RouterCost`; ``gflop_*`` per image; and their ratios.

    Raises:
        ValueError: The config has no router.
    """
    if not cfg.get('model', {}).get('router'):
        raise ValueError('the config has no `model.router`')
    distillers: list[Distiller] = []
    counted = []
    for gate in ('policy', 'always'):
        model = build_model(with_gate(cfg, gate)).to(device)
        shape = config_shape(cfg, model)
        phase = config_phases(cfg, model)[-1]
        counted.append(flops.schedule_cost(model, [phase], shape)[0].truncated)
        model.activate(**phase.activation)
        distillers.append(model)
    routed, plain = distillers
    assert routed.teacher is not None
    macs = [flops.network_cost(network, shape).macs for network in (routed.teacher, routed.student)]
    needed = 2 * (3 * macs[0] + 5 * macs[1])
    batch_size = batch_size or int(cfg.train_dataloader.batch_size)
    cost = router_cost(routed, plain, shape, batch_size, rounds)
    return dict(batch_size=batch_size, shape=list(shape), milliseconds=dict(asdict(cost), units=cost.units),
                ratio_plain=cost.routed / cost.plain, ratio_units=cost.routed / cost.units,
                ratio_passes=cost.routed / cost.passes, gflop_routed=counted[0] / 1e9, gflop_plain=counted[1] / 1e9,
                gflop_units=needed / 1e9, ratio_flop_units=counted[0] / needed)


def with_gate(cfg: Config, gate: str) -> Config:
    """Return a copy of a config whose router has another gate.

    Args:
        cfg: The config.
        gate: The gate.

    Returns:
        The copy.
    """
    changed = Config(cfg.to_dict())
    changed.model.router['gate'] = gate
    return changed
