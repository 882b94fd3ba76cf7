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

DEPLOY = 'deploy.json'


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


def find_latencies(runs: Sequence[ReportRun], folders: Sequence[Path] = ()) -> dict[str, float]:
    """Return measured milliseconds per image, from the ``deploy.json`` files of ``tools/deploy.py``.

    Args:
        runs: The runs; files in their work directories are found.
        folders: Other folders with a file; it belongs to the run in whose work directory its checkpoint is.

    Returns:
        The latency of each method for which there is one: of the ONNX file with the fewest threads, or else of the
        first file.
    """
    work_dirs = {run.work_dir.resolve(): run.method for run in runs if run.work_dir is not None}
    files: list[tuple[str | None, Path]] = [
        (method, file) for work_dir, method in work_dirs.items() for file in sorted(work_dir.rglob(DEPLOY))]
    files += [(None, folder / DEPLOY) for folder in folders]
    found: dict[str, float] = {}
    for owner, file in files:
        try:
            values = json.loads(file.read_text())
            method = owner or work_dirs.get(Path(values['checkpoint']).resolve().parent)
            latency = _latency(values)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
        if method is not None:
            found.setdefault(method, latency)
    return found


def _latency(values: Any) -> float:
    entries = [entry for entry in values['files'] if entry.get('latency')]
    chosen = next((entry for entry in entries if entry['format'] == 'onnx'), entries[0])
    fewest = min(chosen['latency'], key=lambda latency: latency['threads'])
    return fewest['median'] / values['input'][0]
