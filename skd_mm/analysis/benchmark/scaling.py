"""The time of a cached phase as its data outgrows the memory."""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger

from skd_mm.utils.timing import CLOCKS, synchronize

from .measuring import UNLIMITED, phase_numbers
from .variants import Variant


def scaling(cfg: Config, factors: Sequence[int], phase: str, clock: str = 'wall',
            log: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Time a cached phase, from its second iteration on, as the data grows out of memory onto the disk.

    Args:
        cfg: The output of :func:`~skd_mm.analysis.benchmark.prepare_config`. The memory limit is what its
            ``schedule.fraction`` needs.
        factors: Multiples of that fraction; the first one is 1.
        phase: Name of the phase.
        clock: As for :func:`~skd_mm.analysis.benchmark.benchmark`.
        log: Called with a line per factor.

    Returns:
        A dict per factor: ``images``, ``iterations``, ``seconds``, ``memory_mib``, ``disk_mib``, ``ms_an_image`` and
        ``against_linear``, the time per image and epoch compared with that of the first factor.

    Raises:
        ValueError: There is no such phase, no such fraction, or the length of the phase is given in iterations.
    """
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    runs: list[_GrowingRun] = []
    for factor in factors:
        grown = copy.deepcopy(cfg)
        grown.schedule.fraction = cfg.schedule.get('fraction', 1.) * factor
        cache: Any = UNLIMITED
        if runs:  # each has a folder of its own, as a run removes foreign files
            memory = runs[0].bytes_per_image * runs[0].images / 2**30
            cache = dict(memory=memory, disk=UNLIMITED, dir=f'{cfg.work_dir}/{factor}')
        runs.append(_GrowingRun(grown, phase, cache))
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # At any time all of them have trained the same share, so that other load on the machine affects them alike.
    for turn in range(1, runs[0].count + 1):
        for run in runs:
            run.advance(run.count * turn // runs[0].count, CLOCKS[clock])
    found: list[dict[str, Any]] = []
    for run in runs:
        entry = run.entry()
        entry['against_linear'] = entry['ms_an_image'] / found[0]['ms_an_image'] if found else 1.
        found.append(entry)
        log(f'{entry["images"]:6} images: {entry["memory_mib"]:8.0f} MiB in memory, {entry["disk_mib"]:8.0f} MiB on '
            f'disk, {entry["ms_an_image"]:8.2f} ms per image and epoch, {entry["against_linear"]:.2f} x linear')
    return found


class _GrowingRun:
    """A cached phase on a part of the data."""

    def __init__(self, cfg: Config, phase: str, cache: Any) -> None:
        self.variant = Variant(cfg, cache)
        self.loop = self.variant.loop
        index, = phase_numbers(self.loop, [phase])
        self.variant.begin(index)
        self.batches = iter(self.loop.dataloader)
        self.variant.step(next(self.batches))  # pays for what happens once
        if self.loop.phase.unit != 'epochs':
            raise ValueError(f'the phase {phase!r} has {self.loop.phase.iters} iterations whatever the size of the '
                             'data: set its length in epochs, `schedule.phase_epochs`')
        self.count = self.loop.data.length(self.loop.phase) - 1
        self.done = 0
        self.seconds = 0.
        self.images = len(self.loop.data.indices(self.loop.phase))
        self.bytes_per_image = self.variant.distiller.cache.bytes / self.loop.data.batch_size

    def advance(self, to: int, clock: Callable[[], float]) -> None:
        """Train up to an iteration."""
        start = clock()
        for _ in range(to - self.done):
            self.variant.step(next(self.batches))
        synchronize()
        self.done = to
        self.seconds += clock() - start

    def entry(self) -> dict[str, Any]:
        """Return what was measured, and remove the cache."""
        cache = self.variant.distiller.cache
        entry = dict(images=self.images, iterations=self.count, seconds=self.seconds, memory_mib=cache.bytes / 2**20,
                     disk_mib=(cache.files.bytes if cache.files else 0) / 2**20,
                     ms_an_image=self.seconds / (self.count * self.loop.data.batch_size) * 1e3)
        cache.remove()
        return entry
