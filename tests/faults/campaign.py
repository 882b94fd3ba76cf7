"""Faults at random: runs that are killed and resumed, and configs that are wrong.

``python tests/faults/campaign.py --kills N --seed S [--processes 2]`` trains toy runs of all kinds of schedule, kills
each with SIGKILL at a random moment, resumes it (and kills it again now and then), and compares everything it ends in,
bit for bit, with a run that was left alone. The last line is ``kills=N differing=D``.

``python tests/faults/campaign.py --configs N --seed S`` gives ``tools/train.py`` configs that are wrong in one place
each. What a person then reads must be a message that names the key, the value or the part of the config; anything else
counts as unexplained, a traceback whose last line does not name the very thing above all, and a run that hangs. The
last line is ``configs=N unexplained=U``.

Everything is imported once; each run is a process forked from there.
"""

import argparse
import copy
import gc
import importlib
import importlib.util
import io
import itertools
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import skd_mm  # noqa: F401, I001  (before mmseg)

import torch
from mmengine.fileio import LocalBackend

from skd_mm.features import FeatureCache
from tests.helpers import CLASSES, RANDOM, SPOTS, config, differing, load, network, quick, train

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
HOOKS = dict(checkpoint=dict(type='skd_mm.PhaseCheckpointHook', save_best='auto', max_keep_ckpts=2))
MODEL = dict(type='skd_mm.Distiller', student=network(dropout=0.3), teacher=network(),
             spots=[SPOTS[0], dict(student=SPOTS[1], connector=dict(type='Conv1x1')), SPOTS[2]])
STEPS = [dict(type='OneCycleLR', eta_max=2e-2, by_epoch=False), dict(type='skd_mm.OneCycleMomentum', by_epoch=False),
         dict(type='ExponentialLR', gamma=0.9, by_epoch=True)]
SEGMENTATION = dict(model=MODEL, pipeline=RANDOM, default_hooks=HOOKS)
STAGEWISE = dict(type='Stagewise', phase_epochs=2, val_interval=1)


def classifier(dropout: float = 0.) -> dict[str, Any]:
    """A toy classifier."""
    return dict(
        type='mmpretrain.ImageClassifier', backbone=dict(type='mmengine.ToyBackbone', dropout=dropout),
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor', mean=[90.] * 3, std=[50.] * 3,
                               num_classes=CLASSES),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=CLASSES, in_channels=4))


def classification(spots: list[Any], **top: Any) -> dict[str, Any]:
    """What differs from segmentation in a run that classifies."""

    def loader(images: int, first: int, batch: int) -> dict[str, Any]:
        return dict(batch_size=batch, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                    dataset=dict(type='mmengine.ToyClsDataset', images=images, first=first, test_mode=first > 0,
                                 pipeline=[dict(type='PackInputs')]))

    return dict(dict(
        default_scope='mmpretrain', default_hooks=HOOKS, train_dataloader=loader(12, 0, 4),
        val_dataloader=loader(4, 500, 2), val_evaluator=dict(type='Accuracy', topk=(1, )),
        visualizer=dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
        model=dict(type='skd_mm.Distiller', student=classifier(0.3), teacher=classifier(), spots=spots)), **top)


# Every kind of schedule, and what else may be on. A new one is one entry: arguments of `tests.helpers.config`.
KINDS: dict[str, dict[str, Any]] = {
    'stagewise': dict(SEGMENTATION, schedule=STAGEWISE),
    'simultaneous': dict(SEGMENTATION, schedule=dict(type='Simultaneous', phase_epochs=4, val_interval=1)),
    'fitnets': dict(SEGMENTATION, param_scheduler=STEPS, schedule=dict(
        type='FitNets', hints=[SPOTS[1]], phase_iters=7, val_interval=3, fraction=0.75)),
    'backbone first': dict(SEGMENTATION, schedule=dict(STAGEWISE, type='BackboneFirst', handover='last')),
    'no teacher': dict(SEGMENTATION, model=dict(type='skd_mm.Distiller', student=network(dropout=0.3)),
                       schedule=dict(type='NoTeacher', phase_epochs=4, val_interval=1)),
    'cache': dict(model=MODEL, default_hooks=HOOKS, schedule=dict(STAGEWISE, cache=1)),
    'cache on disk': dict(model=MODEL, default_hooks=HOOKS, schedule=dict(STAGEWISE, cache=dict(memory=0, disk=1))),
    'half precision': dict(SEGMENTATION, schedule=STAGEWISE, param_scheduler=STEPS, optim_wrapper=dict(
        type='skd_mm.AmpOptimWrapper', optimizer=dict(type='Adam', lr=1e-2), clip_grad=dict(max_norm=0.5))),
    'accumulation': dict(SEGMENTATION, schedule=dict(STAGEWISE, phase_epochs=3), optim_wrapper=dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9), accumulative_counts=2)),
    'moving average': dict(SEGMENTATION, schedule=dict(STAGEWISE, phase_epochs=3), custom_hooks=[
        dict(type='EMAHook', momentum=0.3),
        dict(type='EarlyStoppingHook', monitor='spot_loss', rule='less', patience=1, min_delta=0.05, strict=False)]),
    'checkpoints between': dict(SEGMENTATION, schedule=dict(type='Stagewise', phase_iters=5), default_hooks=dict(
        checkpoint=dict(HOOKS['checkpoint'], interval=2))),
    'worker processes': dict(SEGMENTATION, schedule=dict(type='Simultaneous', phase_epochs=4, val_interval=1),
                             workers=1),
    'contrastive memory': classification(
        [dict(name='crd', student=SPOTS[2], connector=dict(type='Embed', dim=8, normalize=True),
              teacher_connector=dict(type='Embed', dim=8, normalize=True), loss=dict(type='CRDLoss'),
              memory=dict(type='ContrastMemory', num_samples=12, dim=8, negatives=4))],
        schedule=dict(type='Simultaneous', phase_epochs=4, val_interval=1)),
    'router': dict(SEGMENTATION, model=dict(
        MODEL, router=dict(gate='policy'), spots=[*SPOTS, dict(
            name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss'))]),
                   schedule=dict(type='Simultaneous', phase_epochs=4, val_interval=1)),
    'adversary': dict(
        SEGMENTATION, param_scheduler=[], optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
        model=dict(
            type='skd_mm.Distiller', student=network(dropout=0.3),
            teacher=dict(type='skd_mm.TargetBank', num_classes=CLASSES, rows=4, stride=1),
            spots=[dict(name='logits', student='decode_head.conv_seg', teacher='bank', loss=dict(type='KDLoss'),
                        discriminator=dict(type='LabelDiscriminator', embedding=4, channels=(8, 6)))]),
        schedule=dict(type='Phases', phase_epochs=4, val_interval=1, phases=[dict(
            name='lwkd', train='all', task=0.1, spots={'logits': 0.9, 'logits.discriminator': 0.1})])),
}

Point = tuple[str, int]
_ports = itertools.count()


# Processes

def import_everything() -> None:
    """Imports what the runs import when they need it, for seconds: a process that is forked later has it at once."""
    for name in ('mmseg.models', 'mmpretrain.models', 'mmpretrain.datasets', 'mmpretrain.evaluation', 'skd_mm.config',
                 'skd_mm.connectors', 'skd_mm.engine.launch', 'skd_mm.losses', 'skd_mm.memories', 'skd_mm.models'):
        importlib.import_module(name)
    gc.freeze()  # MMEngine collects garbage for every data set that it builds


def forked(work: Callable[[], None], log: Path, **environment: str) -> int:
    """Starts a process that does some work, writes what it says to a file, and ends.

    Args:
        work: What it does; an exception makes it end with 1.
        log: The file.
        **environment: Variables that it has.

    Returns:
        Its id; it leads a group of its own.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        os.environ.update(environment)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def kill(pid: int) -> None:
    """Ends a process, and all that it has started, at once."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        try:
            os.kill(pid, signal.SIGKILL)  # it has not got its group yet
        except ProcessLookupError:
            pass


def wait(pids: list[int], seconds: float) -> dict[int, int]:
    """Waits for processes, no longer than so many seconds.

    Returns:
        What those that have ended gave back: 0, 1, or the negative number of a signal.
    """
    ended: dict[int, int] = {}
    end = time.monotonic() + seconds
    while len(ended) < len(pids):
        for pid in pids:
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            break
        time.sleep(0.005)
    return ended


# Kills

def trap(point: Point | None) -> None:
    """Lets this process kill itself when it comes to a place the n-th time."""
    if point is None:
        return
    place, times = point
    count = [times]

    def at(owner: Any, name: str, before: Callable[..., None] | None = None) -> None:
        function = getattr(owner, name)

        def trapped(*args: Any, **kwargs: Any) -> Any:
            count[0] -= 1
            if count[0] == 0:
                if before is not None:
                    before(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        setattr(owner, name, trapped)

    def half(self: Any, content: bytes, path: str) -> None:
        Path(path).write_bytes(content[:len(content) // 2])

    if place == 'writing':
        at(LocalBackend, 'put', half)
    elif place == 'renaming':
        at(os, 'replace')
    elif place == 'removing':
        at(Path, 'unlink')
    elif place == 'caching':
        at(FeatureCache, 'put')
    elif place == 'validating':
        from skd_mm.distillers import Distiller
        at(Distiller, 'predict')
    else:
        raise ValueError(place)


PLACES = {'writing': 10, 'renaming': 16, 'removing': 10, 'caching': 12, 'validating': 12}


class Kills:
    """The runs of one campaign.

    Args:
        folder: Where they go.
        seed: What the moments are drawn from.
        processes: Processes of each run.
        kinds: Names in :data:`KINDS`.
        limit: Seconds that one attempt may take.
    """

    def __init__(self, folder: Path, seed: int, processes: int = 1, kinds: list[str] | None = None,
                 limit: float = 300) -> None:
        self.folder, self.processes, self.limit = folder, processes, limit
        self.random = random.Random(seed)
        self.kinds = list(kinds or KINDS)
        self.moments: Counter[str] = Counter()
        self.faults: list[str] = []
        self.seconds: dict[str, float] = {}
        self.done = 0

    def start(self, kind: str, work_dir: Path, resume: bool, point: Point | None = None) -> list[int]:
        """Starts a run, as one process or several."""
        top = copy.deepcopy(KINDS[kind])
        changes: dict[str, Any] = {}
        environment: dict[str, str] = {}
        if self.processes > 1:
            top.update(launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=60)))
            changes = {'train_dataloader.batch_size': 4 // self.processes, 'train_dataloader.num_workers': 0,
                       'train_dataloader.persistent_workers': False}
            with socket.socket() as free:
                free.bind(('127.0.0.1', 0))
                port = free.getsockname()[1]
            environment = dict(WORLD_SIZE=str(self.processes), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
        cfg = config(work_dir, changes, **top)

        def work() -> None:
            trap(point)
            train(cfg, resume)

        work_dir.mkdir(parents=True, exist_ok=True)
        return [forked(work, work_dir / f'rank{rank}.txt', RANK=str(rank), LOCAL_RANK=str(rank), **environment)
                for rank in range(self.processes)]

    def finish(self, pids: list[int], what: str) -> list[int]:
        """Waits until processes have ended, and ends them if they do not; gives what :func:`wait` does."""
        ended = wait(pids, self.limit)
        left = [pid for pid in pids if pid not in ended]
        if left:
            self.faults.append(f'{what}: it hangs')
            for pid in left:
                kill(pid)
            ended.update(wait(left, 30))
        return [ended.get(pid, 1) for pid in pids]

    def reference(self, kind: str) -> Path:
        """The folder of the run of a kind that is left alone."""
        folder = self.folder / 'reference' / kind.replace(' ', '_')
        if kind not in self.seconds:
            start = time.monotonic()
            codes = self.finish(self.start(kind, folder, False), f'{kind}, left alone')
            self.seconds[kind] = time.monotonic() - start
            if any(codes):
                raise RuntimeError(f'{kind}: the run that is left alone fails:\n{(folder / "rank0.txt").read_text()}')
        return folder

    def attempt(self, kind: str, folder: Path, resume: bool) -> bool:
        """Starts or resumes a run and kills it; says whether it came to be killed."""
        place = self.random.choice(['any time', 'any time', *PLACES])
        if place == 'any time':
            pids = self.start(kind, folder, resume)
            time.sleep(self.random.uniform(0, self.seconds[kind]))
            victims = pids if self.random.random() < 0.5 else [self.random.choice(pids)]
            ended = wait(pids, 0)
            if len(ended) == len(pids):
                return False
            pids = [pid for pid in pids if pid not in ended]
            for pid in victims:
                if pid in pids:
                    kill(pid)
        else:
            pids = self.start(kind, folder, resume, (place, self.random.randint(1, PLACES[place])))
        codes = self.finish(pids, f'{kind}, killed at {place}')
        if -signal.SIGKILL not in codes:
            if any(codes):
                self.faults.append(f'{kind}: it fails by itself:\n{(folder / "rank0.txt").read_text()[-3000:]}')
            return False
        self.moments[place] += 1
        self.done += 1
        return True

    def trial(self, kind: str, number: int) -> tuple[int, bool]:
        """Kills one run once or more often, resumes it to its end, and compares.

        Returns:
            How often it was killed, and whether it ended in something else.
        """
        expected = self.reference(kind)
        folder = self.folder / f'{number:04d}_{kind.replace(" ", "_")}'
        faults, kills = len(self.faults), 0
        while not kills:
            shutil.rmtree(folder, ignore_errors=True)
            kills += self.attempt(kind, folder, False)
            if len(self.faults) > faults:
                return max(kills, 1), True
        while self.random.random() < 0.3:
            kills += self.attempt(kind, folder, True)
        codes = self.finish(self.start(kind, folder, True), f'{kind}, resumed')
        if any(codes):
            self.faults.append(f'{kind}: it cannot be resumed:\n{(folder / "rank0.txt").read_text()[-3000:]}')
        else:
            self.faults += [f'{kind}, {folder.name}: {line}' for line in self.compare(expected, folder)]
        if len(self.faults) == faults:
            shutil.rmtree(folder)
        return kills, len(self.faults) > faults

    @staticmethod
    def compare(expected: Path, folder: Path) -> Iterator[str]:
        """In what two runs differ: their last checkpoints and the best ones of each phase."""
        names = sorted(path.name for path in expected.glob('*.pth') if not path.name.startswith('iter_'))
        last = Path((expected / 'last_checkpoint').read_text()).name
        found = sorted(path.name for path in folder.glob('*.pth') if not path.name.startswith('iter_'))
        if found != names or Path((folder / 'last_checkpoint').read_text()).name != last:
            yield f'the files are {found}, not {names}'
            return
        for name in [*names, last]:
            one, other = load(expected / name), load(folder / name)
            for key in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'best', 'schedule'):
                left, right = (dict(leaves(part.get(key), key)) for part in (one, other))
                if left.keys() != right.keys():
                    yield f'{name}: {key} has other entries'
                    continue
                tensors = {path for path, value in left.items() if isinstance(value, torch.Tensor)}
                wrong = differing({path: left[path] for path in tensors}, {path: right[path] for path in tensors})
                wrong += [path for path in left.keys() - tensors if repr(left[path]) != repr(right[path])]
                if wrong:
                    yield f'{name}: {wrong[:3]} differ'
        if list(folder.glob('.*unfinished')):
            yield 'there are tmp files'

    def run(self, kills: int) -> int:
        """Kills so many times, each kind in its turn; gives the number of runs that ended in something else."""
        total, wrong = 0, 0
        for number, kind in enumerate(itertools.cycle(self.kinds)):
            if total >= kills:
                break
            count, bad = self.trial(kind, number)
            total += count
            wrong += bad
            print(f'{kind}: killed {count} times, {"DIFFERS" if bad else "the same"} ({total} of {kills})', flush=True)
        for line in self.faults:
            print(f'FAULT {line}')
        print('moments: ' + ', '.join(f'{place} {count}' for place, count in sorted(self.moments.items())))
        self.total = total
        return wrong


def leaves(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """All that is in a nest of dicts and lists, by path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f'{path}.{key}')
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from leaves(part, f'{path}[{i}]')
    else:
        yield path, value


# Configs

BASES = ('stagewise', 'fitnets', 'no teacher', 'cache', 'half precision', 'contrastive memory', 'router', 'adversary')
WRONG: tuple[Any, ...] = (None, -1, 0, 10**4, 0.5, 1e30, 'nonsense', '', [], {}, True, [1, 'x'], {'a': 1})
# Ten thousand of these is nothing wrong, and takes as long.
LONG = {'images', 'side', 'size', 'phase_iters'}
# The campaign's own.
FREE = ('work_dir', 'experiment_name', 'custom_imports')


class Mutation:
    """One thing that is wrong in a config.

    Attributes:
        what: What was done, for people.
        words: Of these, one must be in the message: keys, values, or where it is.
    """

    def __init__(self, path: tuple, what: str, words: set[str]) -> None:
        self.what = what
        places = {'.'.join(str(part) for part in path[:i] if isinstance(part, str)) for i in range(2, len(path) + 1)}
        # What a library says by itself must be about the very thing.
        self.strong = {word for word in words if len(word) > 3 and word not in ('type', 'mode', 'size', 'name', 'None')}
        self.words = words | places


def nodes(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The paths of all values in a config, the dicts and lists themselves included."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if not path and key in FREE:
            continue
        yield (*path, key)
        yield from nodes(part, (*path, key))


def misspelt(name: str, draw: random.Random) -> str:
    """A name with one letter missing, twice, wrong, or two in each other's place."""
    i = draw.randrange(len(name))
    how = draw.randrange(4)
    if how == 0 and len(name) > 1:
        return name[:i] + name[i + 1:]
    if how == 1:
        return name[:i] + name[i] + name[i:]
    if how == 2 and i + 1 < len(name) and name[i] != name[i + 1]:
        return name[:i] + name[i + 1] + name[i] + name[i + 2:]
    return name[:i] + draw.choice('bkqz') + name[i + 1:]


def mutate(cfg: dict[str, Any], draw: random.Random) -> Mutation:
    """Makes one thing in a config wrong."""
    while True:
        path = draw.choice(list(nodes(cfg)))
        owner: Any = cfg
        for key in path[:-1]:
            owner = owner[key]
        key, value = path[-1], owner[path[-1]]
        near = {str(part) for part in path[-2:] if isinstance(part, str)}
        where = '.'.join(map(str, path))
        how = draw.choice(['key', 'key', 'name', 'value', 'value', 'missing', 'shape'])
        if how == 'key' and isinstance(key, str):
            new = misspelt(key, draw)
            owner[new] = owner.pop(key)
            return Mutation(path, f'{where} is called {new}', {key, new})
        if how == 'name' and isinstance(value, str) and value:
            new = misspelt(value, draw)
            owner[key] = new
            return Mutation(path, f'{where} = {new!r} (was {value!r})', {value, new, *near})
        if how == 'value':
            new = copy.deepcopy(draw.choice(WRONG))
            if new == value or (new is True and isinstance(value, int)) or (new == 10**4 and LONG & set(path)):
                continue
            owner[key] = new
            return Mutation(path, f'{where} = {new!r} (was {str(value)[:60]})', {*near, repr(new)} - {''})
        if how == 'missing' and isinstance(key, str):
            del owner[key]
            return Mutation(path, f'{where} is missing', {*near})
        if how == 'shape' and isinstance(value, int) and not isinstance(value, bool) and value > 1:
            owner[key] = value + draw.choice([-1, 1, 3])
            words = {*near, str(owner[key]), 'shape', 'channels'}
            return Mutation(path, f'{where} = {owner[key]} (was {value})', words)


def base_config(kind: str, folder: Path) -> dict[str, Any]:
    """A config of a kind as plain lists and dicts; each phase has two iterations."""
    top = copy.deepcopy(KINDS[kind])
    schedule = {key: value for key, value in top['schedule'].items() if not key.startswith('phase_')}
    top['schedule'] = dict(schedule, phase_iters=2, val_interval=1)
    if 'fraction' in schedule:
        top['schedule']['fraction'] = 0.75
    cfg = config(folder / 'run', custom_imports=dict(imports=['tests.helpers']), **top)
    return plain(cfg.to_dict())


def plain(value: Any) -> Any:
    """The same of plain dicts and lists, so that every part of it can be made wrong."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def train_tool(path: Path, folder: Path) -> None:
    """Calls ``tools/train.py``; what a person would read on the terminal goes to ``message.txt``."""
    spec = importlib.util.spec_from_file_location('train_tool', ROOT / 'tools' / 'train.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.argv = ['train.py', str(path), '--work-dir', str(folder / 'run')]
    message = 'ended'
    with quick(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            module.main()
        except SystemExit as end:
            message = f'message\n{end}'
        except BaseException as error:
            frames = traceback.extract_tb(error.__traceback__)
            inside = Path(frames[-1].filename).is_relative_to(ROOT)
            kind = 'message' if inside else 'traceback'
            message = f'{kind}\n{type(error).__name__}: {error}\n'
            message += ''.join(traceback.format_tb(error.__traceback__)[-6:])
    (folder / 'message.txt').write_text(message)


def judge(message: str, mutation: Mutation) -> bool:
    """Whether what a person reads explains what is wrong."""
    kind, _, text = message.partition('\n')
    if kind == 'ended':
        return True  # it may be written so
    if kind == 'hangs':
        return False
    text = re.sub(r'\n  File .*', '', text, flags=re.DOTALL)
    return any(word in text for word in (mutation.words if kind == 'message' else mutation.strong))


def configs(count: int, seed: int, folder: Path, limit: float = 120) -> int:
    """Tries so many wrong configs; gives the number of those that were not explained."""
    from mmengine.config import Config
    draw = random.Random(seed)
    unexplained, kinds = 0, Counter[str]()
    bases = {kind: base_config(kind, folder) for kind in BASES}
    for number in range(count):
        kind = BASES[number % len(BASES)]
        cfg = copy.deepcopy(bases[kind])
        mutation = mutate(cfg, draw)
        place = folder / f'{number:04d}'
        place.mkdir(parents=True)
        Config(cfg).dump(str(place / 'config.py'))
        pid = forked(lambda place=place: train_tool(place / 'config.py', place), place / 'log.txt')
        ended = wait([pid], limit)
        if not ended:
            kill(pid)
            wait([pid], 10)
        path = place / 'message.txt'
        message = path.read_text() if path.is_file() else f'hangs\n{(place / "log.txt").read_text()[-2000:]}'
        kinds[message.partition('\n')[0]] += 1
        if judge(message, mutation):
            shutil.rmtree(place)
            continue
        unexplained += 1
        text = message[:1500].replace('\n', '\n    ')
        print(f'UNEXPLAINED {number} {kind}: {mutation.what}\n    {text}', flush=True)
    print(', '.join(f'{kind} {number}' for kind, number in kinds.items()))
    return unexplained


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, metavar='N', help='kill so many times')
    parser.add_argument('--configs', type=int, metavar='N', help='try so many wrong configs')
    parser.add_argument('--seed', type=int, default=0, help='what is drawn; 0 if not given')
    parser.add_argument('--processes', type=int, default=1, help='processes of each run that is killed; 1 if not given')
    parser.add_argument('--kinds', nargs='+', choices=list(KINDS), metavar='KIND', help=f'of {list(KINDS)}; all if not '
                        'given')
    args = parser.parse_args()
    if (args.kills is None) == (args.configs is None):
        parser.error('give --kills N or --configs N')
    return args


def main() -> None:
    args = parse_args()
    import_everything()
    with tempfile.TemporaryDirectory(prefix='skd_mm_campaign_') as folder:
        if args.kills is not None:
            campaign = Kills(Path(folder), args.seed, args.processes, args.kinds)
            wrong = campaign.run(args.kills)
            line = f'kills={campaign.total} differing={wrong}'
        else:
            wrong = configs(args.configs, args.seed, Path(folder))
            line = f'configs={args.configs} unexplained={wrong}'
    print(line)
    raise SystemExit(bool(wrong))


if __name__ == '__main__':
    main()
