"""Estimating how long a run takes from a few timed iterations."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config

from skd_mm.analysis import flops
from skd_mm.analysis.config_model import config_dataset
from skd_mm.features import call_model
from skd_mm.schedules import Phase
from skd_mm.tasks import example_samples

from .compute import Compute, Counted

REPEATS = 2


def estimate_seconds(cfg: Config, counted: Counted, compute: Compute) -> float:
    """Estimate the seconds of a run from timed iterations on synthetic images.

    Forward and backward passes of each phase are timed with the config's batch size, and validation with forward passes
    of the student. Loading and augmenting images and the optimizer's step are left out.

    Args:
        cfg: The config.
        counted: Its counted phases.
        compute: What the run costs.

    Returns:
        The seconds of training and validation on this machine.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    distiller = counted.model.to(device)
    phases = counted.phases(cfg)
    amp = 'Amp' in str(cfg.optim_wrapper.get('type'))
    steps = _step_seconds(distiller, phases, counted.shape, cfg.train_dataloader.batch_size, device, amp)
    validation = _validation_seconds(cfg, distiller, counted.shape, device)
    total = 0.0
    for phase, cost, seconds in zip(phases, counted.costs, steps, strict=True):
        iterations, batches = _iterations(phase, counted, cfg.train_dataloader.batch_size)
        if cfg.schedule.get('cache') and cost.truncated:
            computed = min(iterations, batches)
            iterations = computed + (iterations - computed) * cost.cached / cost.truncated
        length = getattr(phase, phase.unit)
        total += iterations * seconds + math.ceil(length / (phase.val_interval or length)) * validation
    return total


def _iterations(phase: Phase, counted: Counted, batch_size: int) -> tuple[float, int]:
    """Iterations of a phase and of one epoch."""
    batches = flops.images_of(phase, counted.images) // batch_size
    return (phase.iters if phase.epochs is None else phase.epochs * batches) or 0, batches


def _step_seconds(distiller: Any, phases: list[Phase], shape: tuple[int, ...], batch_size: int, device: torch.device,
                  amp: bool) -> list[float]:
    """Seconds of a training iteration of each phase."""
    inputs = torch.randn(batch_size, *shape, device=device)
    samples = example_samples(distiller.student, shape, device, batch_size)
    seconds = []
    for phase in phases:
        distiller.activate(**phase.activation)
        distiller.train()

        def step() -> None:
            with torch.autocast(device.type, torch.bfloat16, amp):
                loss, _ = distiller.parse_losses(distiller.loss(inputs, samples))
            loss.backward()

        seconds.append(_median_seconds(step, device))
    return seconds


def _validation_seconds(cfg: Config, distiller: Any, shape: tuple[int, ...], device: torch.device) -> float:
    """Seconds of one validation."""
    loader = cfg.get('val_dataloader')
    if not loader:
        return 0.0
    images = len(config_dataset(cfg, 'val'))
    inputs = torch.randn(loader.batch_size, *shape, device=device)
    distiller.eval()

    @torch.no_grad()
    def step() -> None:
        call_model(distiller.student, inputs)

    return _median_seconds(step, device) * math.ceil(images / loader.batch_size)


def _median_seconds(step: Callable[[], None], device: torch.device) -> float:
    step()  # memory is allocated and kernels are chosen in the first one
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        if device.type == 'cuda':
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def describe_seconds(seconds: float) -> str:
    """Return a duration for people: ``'45 s'``, ``'12 min'``, ``'3 h 05 min'``."""
    if seconds < 90:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 90:
        return f'{minutes} min'
    return f'{minutes // 60} h {minutes % 60:02} min'
