"""Cost of spots: time and memory per iteration of losses, connectors, memories and discriminators, without networks."""

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor

from skd_mm.registry import RECIPES, build
from skd_mm.utils import text_table

from .benchmark import CLOCKS, milliseconds
from .benchmark.memory import peak_memory

PROBE = 64
"""Height and width of the images that show the resolutions of features."""


def spot_cost(cfg: Config, size: Sequence[int], batch_size: int = 2, iters: int = 5, warmup: int = 1,
              clock: str = 'wall', device: str = 'cpu') -> dict[str, float]:
    """Measure what the spots of a config's last phase add to an iteration.

    The features are random, of the shapes that the networks give for images of a size. A step compares them and
    differentiates the losses for the student's features, the connectors and the discriminators. The networks, and the
    optimizer, are not part of it.

    Args:
        cfg: A config with a distiller and a ``schedule``; checkpoints are not loaded.
        size: Height and width of the images.
        batch_size: Images per step. Defaults to 2.
        iters: Timed steps. Defaults to 5.
        warmup: Steps before them. Defaults to 1.
        clock: ``'wall'`` or ``'cpu'``. Defaults to ``'wall'``.
        device: The device. Defaults to ``'cpu'``.

    Returns:
        ``milliseconds``, the median; ``mib``, the peak of the memory above features and parameters; ``parameters``, the
        number of those at the spots that are trained.

    Raises:
        ValueError: A spot is at several modules.
    """
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = cfg.model.copy()
    for role in ('teacher', 'student'):
        model[role] = dict(model[role], checkpoint=None)
    model.input_shape = (3, PROBE, PROBE)
    distiller: Any = MODELS.build(model)
    *_, phase = build(RECIPES, cfg.schedule).phases(distiller.outline(), distiller.spot_names())
    distiller.activate(phase.train, phase.spots, phase.task)
    distiller.spots.to(device).train()
    step = _step(distiller, size, batch_size, torch.device(device))
    times = [milliseconds(step, clock=CLOCKS[clock]) for _ in range(warmup + iters)]
    trained = (parameter.numel() for parameter in distiller.spots.parameters() if parameter.requires_grad)
    return dict(milliseconds=median(times[warmup:]), mib=peak_memory(step), parameters=sum(trained))


def _step(distiller: Any, size: Sequence[int], batch_size: int, device: torch.device) -> Callable[[], None]:
    """Return a step on random features."""
    active = distiller.active
    classes = distiller.student.num_classes
    labels = torch.randint(classes, (batch_size, *(math.ceil(side / 32) for side in size)), device=device)
    labels = labels.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, :size[0], :size[1]]
    features: dict[str, tuple[Tensor, Tensor]] = {}
    for term, _ in active.terms:
        spot = getattr(term, 'spot', term)
        shapes = [(shape[0], *(round(part * side / PROBE) for part, side in zip(shape[1:], size, strict=True)))
                  for shape in spot.shapes]
        if len(shapes) != 2:
            raise ValueError(f'spot {spot.name!r} is at several modules, which cannot be measured')
        student, teacher = (torch.randn(batch_size, *shape, device=device) for shape in shapes)
        features[spot.name] = student.requires_grad_(), teacher
    context = dict(labels=labels)

    def step() -> None:
        losses = []
        for spot, weight in active.spots:
            losses.append(weight * spot(*features[spot.name], context).mean())
        for term, weight in active.discriminators:
            case = term.case(*features[term.spot.name], context)
            losses += [weight * term.generator_loss(case).mean(), term.discriminator_loss(case).mean()]
        torch.stack(losses).sum().backward()
        distiller.zero_grad()
        for student, _ in features.values():
            student.grad = None

    return step


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the costs as a table, with the first row as the reference.

    Args:
        rows: Output of :func:`spot_cost`, with ``config``.
    """
    reference = rows[0]['milliseconds']
    cells = [[row['config'], f'{row["milliseconds"]:.1f}', f'{row["milliseconds"] / reference:.1f}',
              f'{row["mib"]:.0f}', f'{row["parameters"] / 1e6:.2f}'] for row in rows]
    return text_table(['config', 'ms', '× the first', 'MiB', 'million parameters'], cells)
