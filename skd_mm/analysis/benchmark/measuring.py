"""The measurements of a whole config."""

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from skd_mm.utils import did_you_mean
from skd_mm.utils.timing import CLOCKS

from .memory import peak_memory
from .phase import PhaseBenchmark
from .totals import total
from .variants import Variant

# More GiB than any machine has: the size that the cache needs is reported.
UNLIMITED = 2**20


def prepare_config(cfg: Config, work_dir: str) -> Config:
    """Return a config whose models have random weights, and which writes to one folder only.

    Args:
        cfg: A config with a distiller and a ``schedule``.
        work_dir: The folder.

    Returns:
        A copy.

    Raises:
        ValueError: It has no schedule.
    """
    if 'schedule' not in cfg:
        raise ValueError('the config has no `schedule`: there are no phases to time')
    cfg = copy.deepcopy(cfg)
    for role in ('teacher', 'student'):
        if isinstance(cfg.model.get(role), Mapping):
            cfg.model[role].checkpoint = None
    cfg.work_dir, cfg.log_level, cfg.resume, cfg.load_from = work_dir, 'ERROR', False, None
    cfg.train_cfg = dict(type='skd_mm.PhaseLoop')
    return cfg


def benchmark(cfg: Config, iters: int = 20, warmup: int = 2, compare: bool = True, phases: Sequence[str] = (),
              validation: bool = True, clock: str = 'wall', log: Callable[[str], None] = print) -> dict[str, Any]:
    """Time every phase of a config.

    Args:
        cfg: The output of :func:`prepare_config`.
        iters: Timed iterations per phase and variant.
        warmup: Iterations before them.
        compare: Time the naive, the truncated and the cached variant; otherwise the config as it is.
        phases: Names of the phases; all by default.
        validation: Time the validation, too.
        clock: ``'wall'``, or ``'cpu'`` for the time of this process only, with one thread on a shared machine.
        log: Called with a line per phase.

    Returns:
        ``phases``, a list of dicts, and ``total``, see ``docs/performance.md``.

    Raises:
        ValueError: There is no phase of a name.
    """
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    Runner.from_cfg(copy.deepcopy(cfg))  # what it imports is not part of the start-up
    start = CLOCKS[clock]()
    truncated = Variant(cfg, 0)
    truncated.begin(0)
    start_up = CLOCKS[clock]() - start
    wanted = phase_numbers(truncated.loop, phases)
    variants = dict(truncated=truncated, **_others(cfg, compare, log))
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # A single phase may be timed although the whole network cannot be trained, as with one image per batch.
    joint = None if phases else peak_memory(_joint_step(truncated.loop))
    results = []
    for index in wanted:
        results.append(PhaseBenchmark(variants, index, iters, warmup, CLOCKS[clock]).run(validation))
        log(_line(results[-1]))
    worst = max((phase['peak_mib'] for phase in results if not phase['task']), default=0)
    return dict(phases=results, total=dict(
        total(results), start_up_s=start_up, peak_mib_joint=joint, memory_ratio=worst / joint if joint else None,
        batch_size=truncated.loop.data.batch_size, ms_loader=_loader_time(truncated.loop), clock=clock, iters=iters,
        threads=torch.get_num_threads(), device=str(next(truncated.distiller.parameters()).device)))


def phase_numbers(loop: Any, names: Sequence[str]) -> list[int]:
    """Return the positions of phases in a schedule.

    Args:
        loop: The training loop.
        names: Their names; all phases by default.

    Returns:
        The positions, in order.

    Raises:
        ValueError: There is no phase of a name.
    """
    known = [phase.name for phase in loop.phases]
    for name in names:
        if name not in known:
            raise ValueError(f'there is no phase {name!r}{did_you_mean(name, known)} (there are {known})')
    return [index for index, name in enumerate(known) if not names or name in names]


def _others(cfg: Config, compare: bool, log: Callable[[str], None]) -> dict[str, Variant]:
    """Build the variants besides the truncated one."""
    variants = {}
    if compare:
        variants['naive'] = Variant(cfg, 0, full_forward=True)
    if compare or cfg.schedule.get('cache'):
        try:
            variants['cached'] = Variant(cfg, cfg.schedule.get('cache') or UNLIMITED)
        except ValueError as error:
            log(f'not cached: {error}')
    return variants


def _joint_step(loop: Any) -> Callable[[], None]:
    """Return a step of ordinary distillation: the whole student, on its task and all spots."""
    distiller = loop.distiller
    batch = next(iter(loop.dataloader))

    def step() -> None:
        spots = [spot.name for spot in distiller.spots.values()] if distiller.teacher is not None else ()
        distiller.activate('all', spots, 1.0)
        distiller.train()
        optimizer = torch.optim.Adam(distiller.trainable().values())
        for _ in range(2):
            data = distiller.data_preprocessor(copy.deepcopy(batch), True)
            distiller.parse_losses(distiller.loss(**data))[0].backward()
            optimizer.step()
            optimizer.zero_grad()

    return step


def _loader_time(loop: Any, count: int = 10) -> float:
    """Return the milliseconds per batch of the data loader with its workers alone."""
    batches = iter(loop.dataloader)
    for _ in range(2):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - start) / count * 1e3


def _line(entry: Mapping[str, Any]) -> str:
    names = dict(naive='naive', truncated='truncated', bare='reference', cached='cached',
                 bare_cached='reference, cached')
    parts = [f'{name} {entry[f"ms_{key}"]:.1f}' for key, name in names.items() if f'ms_{key}' in entry]
    return f'{entry["name"]:26} ms per iteration: {", ".join(parts)}; peak {entry["peak_mib"]:.0f} MiB'
