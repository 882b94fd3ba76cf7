"""What the runs of a report cost: compute, time and latency."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from skd_mm.analysis import flops
from skd_mm.analysis.config_model import config_images
from skd_mm.analysis.studies.compute import as_schedule

from .sources import ReportRun


@dataclass(frozen=True)
class PhaseTotal:
    """What a phase costs.

    Attributes:
        name: Its name.
        trainable: Number of trainable parameters.
        iterations: Number of iterations.
        flops: Floating-point operations without a feature cache.
        flops_cached: The same with a cache that keeps everything that can be kept.
    """

    name: str
    trainable: int
    iterations: int
    flops: int
    flops_cached: int


@dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
        parameters: Parameters of the student.
        macs: Its multiply-accumulates per image.
        phases: Its phases; empty if the number of training images is unknown.
    """

    parameters: int
    macs: int
    phases: list[PhaseTotal]

    @property
    def flops(self) -> int:
        """Floating-point operations of the whole training without a cache."""
        return sum(phase.flops for phase in self.phases)


def count(run: ReportRun) -> Cost:
    """Count what a run costs, with random weights.

    Args:
        run: The run.

    Returns:
        Its cost.

    Raises:
        ValueError: The config does not say something that is needed.
    """
    cfg = Config(run.cfg.to_dict())
    if 'schedule' not in cfg and run.work_dir is None:
        raise ValueError('the config of its training is unknown')
    cfg = as_schedule(cfg)
    distiller, phases, costs = flops.config_cost(cfg)
    network = flops.network_cost(distiller.student, flops.config_shape(cfg, distiller))
    images = config_images(cfg)
    totals = []
    if images is not None:
        for cost, phase in zip(costs, phases, strict=True):
            total = flops.training_flops([cost], [phase], images, cfg.train_dataloader.batch_size)
            totals.append(PhaseTotal(phase.name, cost.trainable, total.iterations, total.truncated, total.cached))
    return Cost(network.parameters, network.macs, totals)


def count_key(cfg: Config) -> str:
    """Return a text that is the same for configs with the same compute."""
    parts = {key: cfg.get(key) for key in ('model', 'schedule', 'train_cfg', 'train_dataloader', 'data_preprocessor')}
    schedule = dict(parts['schedule'] or {})
    schedule.pop('fraction_seed', None)
    return json.dumps(dict(parts, schedule=schedule), sort_keys=True, default=str)


def find_latencies(runs: Sequence[ReportRun]) -> dict[str, float]:
    """Return measured milliseconds per image, from the ``deploy.json`` files in work directories.

    Args:
        runs: The runs.

    Returns:
        The latency of each method for which there is one.
    """
    found: dict[str, float] = {}
    for run in runs:
        if run.work_dir is None or run.method in found:
            continue
        for file in sorted(run.work_dir.rglob('deploy.json')):
            latency = _latency(file)
            if latency is not None:
                found[run.method] = latency
    return found


def _latency(file: Path) -> float | None:
    try:
        values: Any = json.loads(file.read_text())
        return float(values['latency_ms'])
    except (OSError, ValueError, KeyError, TypeError):
        return None
