"""The measurements of one phase."""

import copy
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import cycle, islice
from statistics import median
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from skd_mm.datasets.seeded import PhaseSampler
from skd_mm.utils.timing import milliseconds, rotated

from .memory import peak_memory
from .reference import ReferenceLoop
from .variants import Variant

# Batches that are timed again and again: an epoch, or the start of a long one.
_BATCHES = 8
# The keys of the reference loops, as in the files that tools/benchmark.py writes.
REFERENCES = dict(truncated='bare', cached='bare_cached')


class PhaseBenchmark:
    """Times one phase with all variants.

    Args:
        variants: The variants by name: ``'truncated'``, and maybe ``'naive'`` and ``'cached'``.
        index: Position of the phase in the schedule.
        iters: Timed iterations of each variant.
        warmup: Iterations before them, at least 1.
        clock: One of :data:`~skd_mm.utils.timing.CLOCKS`.
    """

    def __init__(self, variants: Mapping[str, Variant], index: int, iters: int, warmup: int,
                 clock: Callable[[], float]) -> None:
        self.variants = variants
        self.index = index
        self.iters = iters
        self.warmup = warmup
        self.clock = clock
        for variant in variants.values():
            variant.begin(index)
        self.loop = variants['truncated'].loop
        self.phase = self.loop.phase
        self.batches = list(islice(iter(self.loop.dataloader), min(self.loop.data.epoch_length(self.phase), _BATCHES)))
        self.references: dict[str, ReferenceLoop] = {}

    def run(self, validation: bool = True) -> dict[str, Any]:
        """Measure everything.

        Args:
            validation: Whether to time the validation, too. Defaults to True.

        Returns:
            The entry of the phase, see ``docs/performance.md``.
        """
        truncated = self.variants['truncated']
        entry: dict[str, Any] = dict(
            name=self.phase.name, task=self.phase.task, iterations=self.loop.data.length(self.phase),
            peak_mib=peak_memory(truncated.step, copy.deepcopy(self.batches[0])))
        for name, key in REFERENCES.items():
            if name in self.variants and ReferenceLoop.supports(self.variants[name].distiller):
                variant = self.variants[name]
                optimizer = variant.runner.optim_wrapper.optimizer
                self.references[key] = ReferenceLoop(variant.distiller, optimizer, cached=name == 'cached')
        if 'cached' in self.variants:
            entry.update(self._fill(self.variants['cached']))
        entry.update({f'gflop_{name}': self._gflops(variant) for name, variant in self.variants.items()})
        entry.update(self._time_steps())
        entry['images_per_s'] = self.loop.data.batch_size / entry['ms_truncated'] * 1e3
        if validation and self.loop.runner.val_loop is not None:
            entry.update(self._validate())
        return entry

    def _milliseconds(self, step: Callable[[Any], None], batch: Any) -> float:
        return milliseconds(step, copy.deepcopy(batch), clock=self.clock)

    def _fill(self, cached: Variant) -> dict[str, Any]:
        """Fill the cache with the batches, and the memory of the reference from it."""
        times = []
        for batch in self.batches:
            times.append(self._milliseconds(cached.step, batch))
            if REFERENCES['cached'] in self.references:
                self.references[REFERENCES['cached']].remember(batch, cached.distiller)
        images = sum(len(batch['data_samples']) for batch in self.batches)
        whole = len(cached.loop.data.indices(self.phase))
        return dict(cache_mib=cached.distiller.cache.bytes / images * whole / 2**20, ms_fill=median(times[1:] or times),
                    ms_fill_first=times[0], fill_iterations=fill_iterations(cached.loop))

    def _gflops(self, variant: Variant) -> float:
        """Return the operations of an iteration per image."""
        batch = copy.deepcopy(self.batches[0])
        images = len(batch['data_samples'])
        with FlopCounterMode(display=False) as counter:
            variant.step(batch)
        return counter.get_total_flops() / images / 1e9

    def _time_steps(self) -> dict[str, float]:
        steps: dict[str, Callable[[Any], None]] = {name: one.step for name, one in self.variants.items()}
        steps.update({name: one.step for name, one in self.references.items()})
        times: dict[str, list[float]] = {name: [] for name in steps}
        for number, batch in enumerate(islice(cycle(self.batches), self.warmup + self.iters)):
            for name, step in rotated(steps, number):
                with self.references[name].hooked() if name in self.references else ExitStack():
                    spent = self._milliseconds(step, batch)
                if number >= self.warmup:
                    times[name].append(spent)
        entry = {f'ms_{name}': median(values) for name, values in times.items()}
        for name, key in REFERENCES.items():
            if key in times:
                pairs = zip(times[name], times[key], strict=True)
                entry[f'overhead_ms_{name}'] = median(spent - reference for spent, reference in pairs)
        return entry

    def _validate(self) -> dict[str, Any]:
        loader = self.loop.runner.val_loop.dataloader
        batches = list(islice(iter(loader), min(self.iters, len(loader), _BATCHES)))
        entry: dict[str, Any] = {}
        for variant in self.variants.values():
            variant.runner.model.eval()
        if 'cached' in self.variants:
            step = self.variants['cached'].val_step
            entry['ms_val_fill'] = median([self._milliseconds(step, batch) for batch in batches])
        times: dict[str, list[float]] = {name: [] for name in self.variants}
        for number, batch in enumerate(islice(cycle(batches), 2 + min(self.iters, len(loader), 10))):
            for name, variant in rotated(self.variants, number):
                spent = self._milliseconds(variant.val_step, batch)
                if number >= 2:
                    times[name].append(spent)
        entry.update({f'ms_val_{name}': median(values) for name, values in times.items()})
        for variant in self.variants.values():
            variant.runner.model.train()
        entry['val_iterations'] = self._validations() * len(loader)
        entry['val_fill_iterations'] = len(loader)
        return entry

    def _validations(self) -> int:
        """Return how often the phase validates."""
        length = self.loop.data.length(self.phase)
        if self.phase.val_interval is None:
            return 1
        unit = self.loop.data.epoch_length(self.phase) if self.phase.unit == 'epochs' else 1
        return -(-length // (unit * self.phase.val_interval))


def fill_iterations(loop: Any) -> int:
    """Return the number of iterations of the current phase in which an image is seen for the first time.

    Args:
        loop: The training loop.

    Returns:
        The number.
    """
    data, phase = loop.data, loop.phase
    sampler = iter(PhaseSampler(data.indices(phase), data.batch_size, loop.seed, loop.index,
                                views=loop.recipe.cache.views))
    seen: set[Any] = set()
    count = 0
    for _ in range(data.length(phase)):
        batch = {(index, *view) for index, _, *view in islice(sampler, data.batch_size)}
        count += not batch <= seen
        seen |= batch
    return count
