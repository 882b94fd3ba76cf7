"""Benchmark of the phases of a schedule: full forward passes, truncated, cached, and a bare PyTorch loop.

All variants get the same batches and are interleaved in rotating order, so that other load on the machine affects them
equally. An iteration is that of a run, with hooks, schedules and logging. The data loader, which works in parallel, is
timed separately.
"""

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skd_mm.datasets.seeded import PhaseSampler
from skd_mm.distillers import Distiller
from skd_mm.distillers.samples import sample_keys
from skd_mm.distillers.spot import select_features
from skd_mm.features import NetworkPair, PairOutputs, call_model
from skd_mm.features.placeholders import resized
from skd_mm.utils import INDEX, did_you_mean
from skd_mm.utils.pytree import tree_map

CLOCKS: dict[str, Callable[[], float]] = dict(wall=time.perf_counter, cpu=time.process_time)
# More GiB than any machine has: the required size is printed, and the user knows what the machine has.
_UNLIMITED = 2**20


class FullForwardPair(NetworkPair):
    """Full forward passes through both networks in every phase, as in implementations without truncation.

    A prediction of the student takes no teacher here either.
    """

    def run(self, inputs: Tensor, data_samples: Any, mode: str, keys: Any = None, record: Any = None) -> PairOutputs:
        """Run both networks, see :meth:`skd_mm.features.NetworkPair.run`."""
        student = self.student.model
        outputs, features = self.student.run(
            lambda: call_model(student, inputs, data_samples, mode, self.plan.student), capture=self.plan.student)
        if mode == 'predict' or self.teacher is None or self.teacher_images is None:
            return PairOutputs(outputs, features, {})
        teacher, images = self.teacher.model, self.teacher_images(inputs, data_samples)
        with torch.no_grad():
            targets = self.teacher.run(lambda: call_model(teacher, images, data_samples, names=self.plan.teacher),
                                       capture=self.plan.teacher)[1]
        return PairOutputs(outputs, features, targets)


class _Stop(Exception):
    pass


class BareLoop:
    """The computations of a phase without a framework: two networks, a loss, an optimizer.

    Forward hooks that are registered once stop the forward passes, and a dict holds the cached features. Three lines
    stack and normalise the images, and the learning rate is constant.

    Args:
        distiller: A distiller with the phase activated; only the networks and losses of a copy are used.
        optimizer: The optimizer of the phase, whose class and settings are used.
        cached: Read features that do not change during the phase from memory.
    """

    def __init__(self, distiller: Distiller, optimizer: torch.optim.Optimizer, cached: bool) -> None:
        self.distiller = copy.deepcopy(distiller)
        self.student, self.teacher = self.distiller.student, self.distiller.teacher
        self.optimizer = type(optimizer)(self.distiller.trainable().values(), **optimizer.defaults)
        self.memory: dict[int, dict[str, Any]] | None = {} if cached else None
        self.values: dict[str, Any] = {}
        self.seen: dict[str, dict[str, Tensor]] = dict(student={}, teacher={})
        preprocessor: Any = self.distiller.data_preprocessor
        self.mean, self.std = preprocessor.mean.view(-1, 1, 1), preprocessor.std.view(-1, 1, 1)
        self.flip = any(getattr(preprocessor, name, False)
                        for name in ('to_rgb', '_channel_conversion', 'channel_conversion'))

    @staticmethod
    def supports(distiller: Distiller) -> bool:
        """Return whether it implements the step of a phase: networks, spots and the task, and nothing else to train."""
        return not (distiller.active.discriminators or distiller.active.routed or any(
            spot.needs for spot, _ in distiller.active.spots))

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """For the time of this its hooks are in the networks, one of which other variants share."""
        with ExitStack() as stack:
            for side, network in (('student', self.distiller.student_network),
                                  *((('teacher', self.distiller.teacher_network),) if self.teacher else ())):
                for name in getattr(self.distiller.active.plan, side):
                    stack.callback(self._watch(network, side, name).remove)
            if self.memory is not None:
                for path in self.distiller.active.plan.frozen_prefix:
                    module = self.student.get_submodule(path)
                    module.forward = lambda *args, path=path, **kwargs: self.values[path]  # type: ignore[method-assign]
                    stack.callback(module.__dict__.pop, 'forward')
            yield

    def _watch(self, network: Any, side: str, name: str) -> Any:
        path, index = network.module_path(name)
        seen = self.seen[side]
        count = len(getattr(self.distiller.active.plan, side))
        stop = side == 'teacher' or not self.distiller.active.task

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            seen[name] = output if index is None else output[index]
            if stop and len(seen) == count:
                raise _Stop

        return network.model.get_submodule(path).register_forward_hook(hook)

    def remember(self, batch: Mapping[str, Any], stored: Mapping[str, Any], unneeded: Mapping[str, Any]) -> None:
        """Put the features of a batch into memory.

        Args:
            batch: The batch.
            stored: Its features in the feature cache.
            unneeded: Outputs of the frozen prefix that nothing reads.
        """
        assert self.memory is not None
        for i, sample in enumerate(batch['data_samples']):
            self.memory[sample.metainfo[INDEX]] = {
                name: tree_map(lambda feature, i=i: feature[i].clone(), feature) for name, feature in stored.items()}
        self.values.update({name: resized(output, len(batch['data_samples'])) for name, output in unneeded.items()})

    def step(self, batch: Mapping[str, Any]) -> None:
        """Run one iteration."""
        images = torch.stack(list(batch['inputs'])).to(self.mean.device)
        images = (images.flip(1) if self.flip else images).float()
        images = (images - self.mean) / self.std
        samples = [sample.to(images.device) for sample in batch['data_samples']]
        self.seen['student'].clear()
        targets: dict[str, Tensor] = {}
        if self.memory is not None:
            stored = [self.memory[sample.metainfo[INDEX]] for sample in samples]
            for name in stored[0]:
                value = tree_map(lambda *parts: torch.stack(parts), *(one[name] for one in stored))
                side, _, path = name.partition(':')
                (targets if side == 'teacher' else self.values)[path] = value
        elif self.distiller.active.needs_teacher:
            assert self.teacher is not None and self.distiller.teacher_input is not None
            self.seen['teacher'].clear()
            try:
                with torch.no_grad():
                    self.teacher(self.distiller.teacher_input(images, samples), samples, mode='tensor')
            except _Stop:
                pass
            targets = self.seen['teacher']
        loss: Any = 0.
        try:
            outputs = self.student(images, samples, mode='loss' if self.distiller.active.task else 'tensor')
            if self.distiller.active.task:
                loss = self.distiller.active.task * sum(
                    sum(value) if isinstance(value, list) else value
                    for name, value in outputs.items() if 'loss' in name)
        except _Stop:
            pass
        for spot, weight in self.distiller.active.spots:
            loss = loss + weight * spot(
                select_features(self.seen['student'], spot.student), select_features(targets, spot.teacher)).mean()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


class Variant:
    """A variant of running the phases of a config, in a Runner of its own.

    Args:
        cfg: The config.
        cache: Replaces ``schedule.cache``.
        naive: Run full forwards of both networks.
    """

    def __init__(self, cfg: Config, cache: Any, naive: bool = False) -> None:
        cfg = copy.deepcopy(cfg)
        cfg.schedule.cache = cache
        self.runner = Runner.from_cfg(cfg)
        runner: Any = self.runner
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        self.loop: Any = runner._train_loop
        if runner._val_loop is not None:
            runner._val_loop = runner.build_val_loop(runner._val_loop)
        runner.call_hook('before_run')
        runner.call_hook('before_train')
        if naive:
            distiller = self.loop.distiller
            distiller.pair = FullForwardPair(
                distiller.student_network, distiller.teacher_network, distiller.teacher_input)

    def begin(self, index: int) -> None:
        """Start a phase."""
        loop = self.loop
        loop.index, loop.phase_iter = index, 0
        loop.prepare_phase()
        loop.begin_phase()
        self.runner.model.train()
        self.runner.call_hook('before_train_epoch')

    def step(self, batch: Any) -> None:
        """Run one training iteration."""
        self.loop.run_iter(batch)

    def val_step(self, batch: Any) -> None:
        """Run one validation iteration."""
        self.runner.val_loop.run_iter(0, batch)


def prepare_config(cfg: Config, work_dir: str) -> Config:
    """Return a config whose models have random weights, and which only writes to its work directory.

    Args:
        cfg: A config with a distiller and a ``schedule``.
        work_dir: Its folder.

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
        cfg: The result of :func:`prepare_config`.
        iters: Timed iterations per phase and variant.
        warmup: Iterations before them.
        compare: Time full forward passes, truncation, and truncation with the cache; otherwise the config as it is.
        phases: Names of the phases; all by default.
        validation: Time validation, too.
        clock: ``'wall'``, or ``'cpu'`` for the process time, with a single thread on a shared machine.
        log: Called with one line per phase.

    Returns:
        ``phases``, a list of dicts, and ``total``; ``docs/performance.md`` describes their keys.

    Raises:
        ValueError: A phase or a clock has no such name.
    """
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    Runner.from_cfg(copy.deepcopy(cfg))  # imports are not part of the start-up time
    start = CLOCKS[clock]()
    truncated = Variant(cfg, 0)
    truncated.begin(0)
    start_up = CLOCKS[clock]() - start
    wanted = [index for index, phase in enumerate(truncated.loop.phases) if not phases or phase.name in phases]
    unknown = set(phases) - {phase.name for phase in truncated.loop.phases}
    if unknown:
        raise ValueError(f'there is no phase {sorted(unknown)}: {[phase.name for phase in truncated.loop.phases]}')
    variants = dict(truncated=truncated)
    if compare:
        variants['naive'] = Variant(cfg, 0, naive=True)
    if compare or cfg.schedule.get('cache'):
        try:
            variants['cached'] = Variant(cfg, cfg.schedule.get('cache') or _UNLIMITED)
        except ValueError as error:
            log(f'not cached: {error}')
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # Single phases can be timed even if the whole network cannot be trained, as with a single image.
    joint = None if phases else peak_memory(_joint(truncated.loop))
    results = [_phase(variants, index, iters, warmup, validation, CLOCKS[clock], log) for index in wanted]
    return dict(phases=results, total=dict(
        _total(results), start_up_s=start_up, peak_mib_joint=joint, batch_size=truncated.loop.data.batch_size,
        memory_ratio=joint and max((phase['peak_mib'] for phase in results if not phase['task']), default=0) / joint,
        ms_loader=_loader_time(truncated.loop), clock=clock, iters=iters, threads=torch.get_num_threads(),
        device=str(next(truncated.loop.distiller.parameters()).device)))


def scaling(cfg: Config, factors: Sequence[int], phase: str, clock: str = 'wall',
           log: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Time a cached phase, from its second iteration on, as the data grows out of memory onto the disk.

    Args:
        cfg: The result of :func:`prepare_config`. The memory limit is the size that its ``schedule.fraction`` needs.
        factors: Multiples of that fraction; the first one is 1.
        phase: Name of the phase.
        clock: As for :func:`benchmark`.
        log: Called with one line per factor.

    Returns:
        A dict a factor: ``images``, ``memory_mib``, ``disk_mib``, ``seconds`` and ``against_linear``, the time an image
        and epoch against that of the first.

    Raises:
        ValueError: There is no such phase, no such fraction, or the phase is not as long as the data.
    """
    logging.getLogger('mmengine').setLevel(logging.ERROR)
    runs: list[_Growing] = []
    for factor in factors:
        grown = copy.deepcopy(cfg)
        grown.schedule.fraction = cfg.schedule.get('fraction', 1.) * factor
        room: Any = _UNLIMITED
        if runs:  # a folder for each: a run removes what is not its own
            room = dict(memory=runs[0].bytes_an_image * runs[0].images / 2**30, disk=_UNLIMITED,
                        dir=f'{cfg.work_dir}/{factor}')
        runs.append(_Growing(grown, phase, room))
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    # Each of them is as far as the others at any time: what else a machine does falls on them all alike.
    for turn in range(1, runs[0].count + 1):
        for run in runs:
            run.advance(run.count * turn // runs[0].count, CLOCKS[clock])
    found: list[dict[str, Any]] = []
    for run in runs:
        cache, each = run.loop.distiller.cache, run.seconds / (run.count * run.loop.data.batch_size) * 1e3
        entry = dict(images=run.images, iterations=run.count, seconds=run.seconds, memory_mib=cache.bytes / 2**20,
                     disk_mib=(cache.files.bytes if cache.files else 0) / 2**20, ms_an_image=each)
        found.append(dict(entry, against_linear=each / found[0]['ms_an_image'] if found else 1.))
        cache.remove()
        log(f'{entry["images"]:6} images: {entry["memory_mib"]:8.0f} MiB in memory, {entry["disk_mib"]:8.0f} MiB on '
            f'disk, {each:8.2f} ms an image and epoch, {found[-1]["against_linear"]:.2f} x linear')
    return found


class _Growing:
    """A cached phase with a part of the data."""

    def __init__(self, cfg: Config, phase: str, cache: Any) -> None:
        self.variant = Variant(cfg, cache)
        self.loop = self.variant.loop
        names_ = [each.name for each in self.loop.phases]
        if phase not in names_:
            raise ValueError(f'there is no phase {phase!r}{did_you_mean(phase, names_)}')
        self.variant.begin(names_.index(phase))
        self.batches = iter(self.loop.dataloader)
        self.variant.step(next(self.batches))  # what happens once
        if self.loop.phase.unit != 'epochs':
            raise ValueError(f'the phase {phase!r} has {self.loop.phase.iters} iterations however much data there is: '
                             'give it a length in epochs, `schedule.phase_epochs`')
        self.count, self.done, self.seconds = self.loop.data.length(self.loop.phase) - 1, 0, 0.
        self.images = len(self.loop.data.indices(self.loop.phase))
        self.bytes_an_image = self.loop.distiller.cache.bytes / self.loop.data.batch_size

    def advance(self, to: int, clock: Callable[[], float]) -> None:
        """Train up to an iteration."""
        start = clock()
        for _ in range(to - self.done):
            self.variant.step(next(self.batches))
        synchronise()
        self.done, self.seconds = to, self.seconds + clock() - start


def _phase(variants: Mapping[str, Variant], index: int, iters: int, warmup: int, validation: bool,
           clock: Callable[[], float], log: Callable[[str], None]) -> dict[str, Any]:
    for mode in variants.values():
        mode.begin(index)
    loop = variants['truncated'].loop
    phase = loop.phase
    # An epoch, or the start of a long one.
    batches = list(islice(iter(loop.dataloader), min(loop.data.epoch_length(phase), 8)))
    peak = peak_memory(variants['truncated'].step, copy.deepcopy(batches[0]))

    def timed(step: Callable[[Any], None], batch: Any) -> float:
        batch = copy.deepcopy(batch)
        synchronise()
        begin = clock()
        step(batch)
        synchronise()
        return (clock() - begin) * 1e3

    entry: dict[str, Any] = dict(name=phase.name, task=phase.task, iterations=loop.data.length(phase), peak_mib=peak)
    filling: list[float] = []
    steps: dict[str, Callable[[Any], None]] = {name: mode.step for name, mode in variants.items()}
    bare: dict[str, BareLoop] = {}
    if BareLoop.supports(loop.distiller):
        bare['bare'] = BareLoop(loop.distiller, loop.runner.optim_wrapper.optimizer, cached=False)
    if 'cached' in variants:
        own = variants['cached'].loop
        if bare:
            bare['bare_cached'] = BareLoop(own.distiller, own.runner.optim_wrapper.optimizer, cached=True)
        for batch in batches:
            filling.append(timed(variants['cached'].step, batch))
            if not bare:
                continue
            inputs = own.distiller.data_preprocessor(copy.deepcopy(batch), True)
            keys = sample_keys(inputs['data_samples'], inputs['inputs'].shape[1:])
            stored = own.distiller.cache.get(keys)
            unread = next(iter(own.distiller.pair._placeholders.values())) or {}
            bare['bare_cached'].remember(batch, stored or {}, unread)
        images = sum(len(batch['data_samples']) for batch in batches)
        entry['cache_mib'] = own.distiller.cache.bytes / images * len(own.data.indices(phase)) / 2**20
    for name, loop_ in bare.items():
        steps[name] = loop_.step
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i, batch in enumerate(islice(cycle(batches), warmup + iters)):
        order = list(steps)
        for name in order[i % len(order):] + order[:i % len(order)]:
            with bare[name].hooked() if name in bare else ExitStack():
                if i == 0 and name in variants:
                    with FlopCounterMode(display=False) as counter:
                        timed(steps[name], batch)
                    entry[f'gflop_{name}'] = counter.get_total_flops() / len(batch['data_samples']) / 1e9
                    continue
                spent = timed(steps[name], batch)
            if i >= warmup:
                times[name].append(spent)
    for name, values in times.items():
        entry[f'ms_{name}'] = median(values)
    for one, other in (('truncated', 'bare'), ('cached', 'bare_cached')):
        if one in times and other in times:
            pairs = zip(times[one], times[other], strict=True)
            entry[f'overhead_ms_{one}'] = median(after - before for after, before in pairs)
    entry['images_per_s'] = loop.data.batch_size / entry['ms_truncated'] * 1e3
    if filling:
        entry['ms_fill'] = median(filling[1:] or filling)
        entry['ms_fill_first'] = filling[0]
        entry['fill_iterations'] = _fill_iterations(loop)
    if validation and loop.runner.val_loop is not None:
        entry.update(_validation(variants, iters, timed))
    del bare
    log(_line(entry))
    return entry


def _validation(variants: Mapping[str, Variant], iters: int, timed: Callable[..., float]) -> dict[str, Any]:
    loop = variants['truncated'].loop
    loader = loop.runner.val_loop.dataloader
    batches = list(islice(iter(loader), min(iters, len(loader), 8)))
    entry: dict[str, Any] = {}
    for mode in variants.values():
        mode.runner.model.eval()
    if 'cached' in variants:
        entry['ms_val_fill'] = median([timed(variants['cached'].val_step, batch) for batch in batches])
    times: dict[str, list[float]] = {name: [] for name in variants}
    for i, batch in enumerate(islice(cycle(batches), 2 + min(iters, len(loader), 10))):
        for name, mode in variants.items():
            spent = timed(mode.val_step, batch)
            if i >= 2:
                times[name].append(spent)
    for name, values in times.items():
        entry[f'ms_val_{name}'] = median(values)
    for mode in variants.values():
        mode.runner.model.train()
    phase = loop.phase
    unit = loop.data.epoch_length(phase) if phase.unit == 'epochs' else 1
    every = unit * phase.val_interval if phase.val_interval else loop.data.length(phase)
    entry['val_iterations'] = -(-loop.data.length(phase) // every) * len(loader)
    entry['val_fill_iterations'] = len(loader)
    return entry


def _total(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The schedule: every phase as long as it is, the filling of the cache included."""

    def seconds(mode: str, validation: bool = False) -> float | None:
        if any(f'ms_{mode}' not in phase for phase in phases):
            return None
        spent = 0.
        for phase in phases:
            first = phase['fill_iterations'] if mode == 'cached' else 0
            spent += (phase['iterations'] - first) * phase[f'ms_{mode}']
            if first:
                spent += phase['ms_fill_first'] + (first - 1) * phase['ms_fill']
            if validation:
                first = phase['val_fill_iterations'] if mode == 'cached' else 0
                spent += (phase['val_iterations'] - first) * phase[f'ms_val_{mode}']
                spent += first * phase.get('ms_val_fill', 0.)
        return spent / 1e3

    total: dict[str, Any] = {}
    for ending, validation in (('', False), ('_with_validation', True)):
        if validation and any('val_iterations' not in phase for phase in phases):
            continue
        spent = {mode: seconds(mode, validation) for mode in ('naive', 'truncated', 'cached')}
        total.update({f'seconds_{mode}{ending}': value for mode, value in spent.items()})
        for mode in ('truncated', 'cached'):
            one, other = spent['naive'], spent[mode]
            total[f'ratio_{mode}{ending}'] = one / other if one and other else None
    for mode, ending, reference in (('truncated', '', 'bare'), ('cached', '_cached', 'bare_cached')):
        if all(f'overhead_ms_{mode}' in phase for phase in phases):
            shares = [phase[f'overhead_ms_{mode}'] / phase[f'ms_{reference}'] for phase in phases]
            more = sum(phase['iterations'] * phase[f'overhead_ms_{mode}'] for phase in phases)
            total[f'overhead{ending}'] = more / sum(phase['iterations'] * phase[f'ms_{reference}'] for phase in phases)
            total[f'worst_overhead{ending}'] = max(shares)
    return total


def _fill_iterations(loop: Any) -> int:
    """Iterations of a phase in which an image is seen that was not before."""
    indices = loop.data.indices(loop.phase)
    sampler = iter(PhaseSampler(indices, loop.data.batch_size, loop.seed, loop.index, views=loop.recipe.cache.views))
    seen: set[Any] = set()
    count = 0
    for _ in range(loop.data.length(loop.phase)):
        batch = {(index, *view) for index, _, *view in islice(sampler, loop.data.batch_size)}
        count += not batch <= seen
        seen |= batch
    return count


def _joint(loop: Any) -> Callable[[], None]:
    """A step of ordinary distillation: the whole student, on its task and all spots."""
    distiller = loop.distiller
    batch = next(iter(loop.dataloader))

    def step() -> None:
        distiller.activate('all', distiller.stage_names()[:-1] if distiller.teacher is not None else (), 1.0)
        distiller.train()
        optimizer = torch.optim.Adam(distiller.trainable().values())
        for _ in range(2):
            data = distiller.data_preprocessor(copy.deepcopy(batch), True)
            distiller.parse_losses(distiller.loss(**data))[0].backward()
            optimizer.step()
            optimizer.zero_grad()

    return step


def peak_memory(step: Callable[..., None], *args: Any) -> float:
    """Return the peak memory of a step in MiB, in addition to what is allocated before it.

    Args:
        step: The step, which is run once.
        *args: Its arguments.

    Returns:
        The memory of gradients, optimizer state and activations, from PyTorch's allocator, without the models.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(*args)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(*args)
    assert profiler.profiler is not None
    events = [(event.start_ns(), event.nbytes()) for event in profiler.profiler.kineto_results.events()
              if event.name() == '[memory]']
    held = peak = 0
    for _, size in sorted(events):
        held += size
        peak = max(peak, held)
    return peak / 2**20


def _loader_time(loop: Any, count: int = 10) -> float:
    """Return the milliseconds per batch of the loader with its workers alone."""
    batches = iter(loop.dataloader)
    for _ in range(2):
        next(batches)
    start = time.perf_counter()
    for _ in range(count):
        next(batches)
    return (time.perf_counter() - start) / count * 1e3


def synchronise() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _line(entry: Mapping[str, Any]) -> str:
    parts = [f'{name} {entry[f"ms_{name}"]:.1f}' for name in ('naive', 'truncated', 'bare', 'cached', 'bare_cached')
             if f'ms_{name}' in entry]
    return f'{entry["name"]:26} ms per iteration: {", ".join(parts)}; peak {entry["peak_mib"]:.0f} MiB'
