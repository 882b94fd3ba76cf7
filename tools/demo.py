"""The whole toolkit in five minutes on two CPU cores: no download, no GPU.

Makes synthetic street scenes, trains a teacher on all of the training images, and then on a tenth of them the same
student three times: without a teacher, with all spots at once, and stagewise (SKD, arXiv 1911.06786). The two baselines
may spend as many floating point operations in training as the stagewise schedule does. Every run is one of
``tools/train.py`` and ``tools/test.py`` on a config of ``configs/demo``, as real runs are.

A run that was finished is not run again, one that was broken off goes on.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import mmcv
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from mmengine.config import Config

from skd_mm.analysis import flops
from skd_mm.analysis.curves import plot_curves
from skd_mm.analysis.logs import read_run
from skd_mm.datasets.camvid import CLASSES, PALETTE
from skd_mm.synthetic import make_street_scenes
from skd_mm.synthetic.street_scenes.writer import MARKER
from skd_mm.utils import write_json

ROOT = Path(__file__).resolve().parents[1]
DATA = 'street_scenes'
RECORD = 'demo.json'
SECONDS_BETWEEN_LINES = 8.0
# The colour of every id in a label file; what is no class is black.
PAINT = np.zeros((256, 3), np.uint8)
PAINT[:len(PALETTE)] = PALETTE
TITLES = dict(teacher='teacher', no_teacher='no teacher', simultaneous='simultaneous', skd='stagewise')


@dataclass(frozen=True)
class Size:
    """How large the demo is.

    Attributes:
        train: Training images, of which the students see ``schedule.fraction``.
        val: Validation images.
        test: Test images.
        pixels: Height and width.
        teacher: Settings of the teacher's config that differ.
        student: Settings of the students' configs that differ.
    """

    train: int = 200
    val: int = 24
    test: int = 48
    pixels: tuple[int, int] = (64, 96)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    student: Mapping[str, Any] = field(default_factory=dict)


QUICK = Size(
    train=40, val=2, test=3, pixels=(32, 64), student={'schedule.phase_epochs': 1},
    teacher={'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1, 'param_scheduler.0.total_steps': 1,
             'param_scheduler.1.total_steps': 1})


@dataclass
class Run:
    """A training, and the test of what it gave.

    Attributes:
        name: Its config in ``configs/demo`` and its folder in the work directory.
        options: Settings that replace those of the config.
        epochs: How many it trains; of a phase, if it has several.
        images: How many it sees.
        phases: How many phases it has.
        network: ``'teacher'`` or ``'student'``.
        cost: Floating point operations of its training.
    """

    name: str
    options: dict[str, Any]
    epochs: int
    images: int
    phases: int
    network: str
    cost: flops.TrainingCost

    @property
    def config(self) -> str:
        """The path of its config from the root."""
        return f'configs/demo/{self.name}.py'


class Stopped(Exception):
    """Another run has failed, or the user has had enough."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo',
                        help='where everything goes; work_dirs/demo if not given')
    parser.add_argument('--seed', type=int, default=0, help='seed of all trainings; 0 if not given')
    parser.add_argument('--clean', action='store_true', help='do not use what an earlier demo has left there')
    parser.add_argument('--quick', action='store_true', help='seconds, to see that everything runs: the numbers mean '
                        'nothing')
    parser.add_argument('--jobs', type=int, default=min(2, len(os.sched_getaffinity(0))),
                        help='runs at a time, one thread each; 2 where there are two cores')
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error(f'--jobs must be 1 or more, not {args.jobs}')
    return args


def interrupt(*_: Any) -> None:
    """Ends the demo as Ctrl-C does, which a shell lets programs in the background ignore."""
    raise KeyboardInterrupt


def main() -> None:
    args = parse_args()
    signal.signal(signal.SIGTERM, interrupt)
    torch.set_num_threads(1)  # the counting is small, and the trainings need the cores
    folder = Path(args.work_dir).resolve()
    os.chdir(ROOT)
    if folder.is_relative_to(ROOT):
        folder = folder.relative_to(ROOT)
    demo = Demo(folder, QUICK if args.quick else Size(), args.seed, args.jobs)
    if args.clean:
        demo.clean()
    try:
        demo.run()
    except Stopped as error:
        raise SystemExit(f'\n{error}') from None
    except KeyboardInterrupt:
        raise SystemExit('\nstopped; the same command goes on from here') from None


class Demo:
    """The runs, and what comes of them.

    Args:
        folder: The work directory.
        size: How large it is.
        seed: Seed of all trainings.
        jobs: Runs at a time.
    """

    def __init__(self, folder: Path, size: Size, seed: int, jobs: int) -> None:
        self.folder = folder
        self.size = size
        self.seed = seed
        self.jobs = jobs
        self.start = time.monotonic()
        self.children: set[subprocess.Popen] = set()
        self.stopping = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        # The trainings inherit it: they hold it for as long as they live, even if this process is killed.
        self.lock = open(folder / '.lock', 'w')  # noqa: SIM115
        os.set_inheritable(self.lock.fileno(), True)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f'another demo, or a training that one has left behind, is still at work in {folder}: '
                             'wait for it, or give another --work-dir') from None

    def clean(self) -> None:
        """Removes what an earlier demo has made, and nothing else."""
        for path in [self.folder / DATA / MARKER, *(self.folder / name / RECORD for name in TITLES)]:
            if path.is_file():
                shutil.rmtree(path.parent)

    def log(self, text: str) -> None:
        """A line on the terminal, with the time since the start."""
        seconds = int(time.monotonic() - self.start)
        print(f'{seconds // 60:2}:{seconds % 60:02}  {text}', flush=True)

    def run(self) -> None:
        """Everything."""
        size = self.size
        self.log(f'street scenes: {size.train} to train on, {size.val} for validation, {size.test} to test on, '
                 f'{size.pixels[0]}x{size.pixels[1]} pixels')
        make_street_scenes(self.folder / DATA, size.train, size.val, size.test, size.pixels)
        runs, networks = self.plan()
        done = self.run_all(runs)
        results = self.results(runs, networks, done)
        write_json(self.folder / 'results.json', results)
        report = markdown(results)
        (self.folder / 'results.md').write_text(report)
        self.draw_curves()
        self.draw_samples()
        self.log('done\n')
        print(report)
        for what, name in dict(numbers='results.json', table='results.md', curves='curves.png',
                               pictures='samples.png').items():
            print(f'{what:9}{self.folder / name}')

    def options(self, name: str) -> dict[str, Any]:
        """The settings of a run that differ from its config, but for the epochs of a baseline."""
        options: dict[str, Any] = dict(self.size.teacher if name == 'teacher' else self.size.student)
        if self.folder != Path('work_dirs/demo'):
            options |= {f'{split}_dataloader.dataset.data_root': str(self.folder / DATA)
                        for split in ('train', 'val', 'test')}
            if name in ('simultaneous', 'skd'):
                options['model.teacher.checkpoint'] = str(self.folder / 'teacher' / 'best_mIoU_*.pth')
        return options

    def plan(self) -> tuple[list[Run], dict[str, dict[str, int]]]:
        """Counts the stagewise run, and gives the others as many operations.

        Returns:
            The runs, and parameters and MACs of the two networks.
        """
        shape, images = (3, *self.size.pixels), self.size.train
        counted: dict[str, tuple[Any, Any, Any]] = {}
        for name in TITLES:
            cfg = Config.fromfile(ROOT / f'configs/demo/{"no_teacher" if name == "teacher" else name}.py')
            cfg.merge_from_dict(dict(self.size.student))
            if name == 'teacher':
                teacher = Config.fromfile(ROOT / 'configs/demo/teacher.py')
                teacher.merge_from_dict(dict(self.size.teacher))
                cfg.model.student = dict(cfg=teacher)
                cfg.schedule = dict(type='NoTeacher', phase_epochs=teacher.train_cfg.max_epochs)
            counted[name] = flops.config_cost(cfg, shape)
            batch = cfg.train_dataloader.batch_size
        _, phases, costs = counted['skd']
        stagewise = flops.training_flops(costs, phases, images, batch)
        self.log('training costs, in GFLOPs an image (with the feature cache):')
        for phase, cost in zip(phases, costs, strict=True):
            self.log(f'    stagewise, {phase.name:22}{cost.truncated / 1e9:8.4f}{f"({cost.cached / 1e9:.4f})":>11}')
        runs = []
        for name, (_, phases, costs) in counted.items():
            options, seen = self.options(name), flops.images_of(phases[0], images)
            if name in ('no_teacher', 'simultaneous'):
                epochs = flops.equal_epochs(stagewise.truncated, costs[0].truncated, seen, batch)
                phases = [replace(phases[0], epochs=epochs)]
                options['schedule.phase_epochs'] = epochs
            total = flops.training_flops(costs, phases, images, batch)
            of = f' an image and epoch: {costs[0].truncated / 1e9:.4f};' if len(phases) == 1 else ''
            self.log(f'    {TITLES[name]}:{of} in all {total.truncated / 1e9:,.0f} GFLOPs ({total.cached / 1e9:,.0f} '
                     f'with the cache), {len(phases)} x {phases[0].epochs} epochs of {seen} images')
            runs.append(Run(name, options, phases[0].epochs, seen, len(phases),
                            'teacher' if name == 'teacher' else 'student', total))
        distiller = counted['skd'][0]
        return runs, {role: asdict(flops.network_cost(getattr(distiller, role), shape))
                      for role in ('teacher', 'student')}

    def run_all(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """Trains and tests everything, as many runs at a time as there are jobs.

        Returns:
            What each run left in its ``demo.json``.
        """
        with ThreadPoolExecutor(self.jobs) as pool:
            teacher, *students = sorted(runs, key=lambda run: list(TITLES).index(run.name))
            # The teacher is first in the queue: it is at work, or done, when another waits for it.
            trained = pool.submit(self.train, teacher)
            futures = {run.name: pool.submit(self.train_and_test, run, trained) for run in students}
            futures[teacher.name] = pool.submit(lambda: self.test(teacher, trained.result()))
            try:
                every: list[Future[Any]] = [trained, *futures.values()]
                for future in wait(every, return_when=FIRST_EXCEPTION).done:
                    future.result()
            except BaseException:
                self.stopping.set()
                for child in list(self.children):
                    child.terminate()
                raise
        return {name: future.result() for name, future in futures.items()}

    def train_and_test(self, run: Run, teacher: Future) -> dict[str, Any]:
        """Trains a student, once its teacher is there, and tests it."""
        needs_teacher = run.name in ('simultaneous', 'skd')
        record = self.train(run, teacher.result() if needs_teacher else None)
        return self.test(run, record)

    def train(self, run: Run, teacher: 'Record | None' = None) -> 'Record':
        """Trains a network, unless that has been done.

        Args:
            run: The run.
            teacher: What is known of its teacher.

        Returns:
            What is known of the run.
        """
        self.check()
        folder, title = self.folder / run.name, TITLES[run.name]
        record = Record(folder / RECORD, self.identity(run, teacher))
        command = ['tools/train.py', run.config, '--work-dir', str(folder), '--seed', str(self.seed)]
        if run.options:
            command += ['--cfg-options', *(f'{key}={value}' for key, value in run.options.items())]
        if record['trained']:
            self.log(f'{title:13} has been trained')
            return record
        resumed = (folder / 'last_checkpoint').is_file()
        self.log(f'{title:13} {"goes on" if resumed else "starts"}')
        record.update(command=shlex.join(['python', *command]), commit=commit())
        self.call([*command, *(['--resume'] if resumed else [])], Progress(self, run, record))
        record.update(trained=True)
        return record

    def test(self, run: Run, record: 'Record') -> dict[str, Any]:
        """Tests the last and the best checkpoint on the test split, unless that has been done.

        Args:
            run: The run.
            record: What is known of it.

        Returns:
            The values of ``record``.
        """
        folder = self.folder / run.name
        checkpoints = dict(best=newest(folder, 'best_mIoU_*.pth'), last=last_checkpoint(folder))
        for which, checkpoint in checkpoints.items():
            if which in record['test']:
                continue
            if which == 'last' and same_weights(*checkpoints.values()):
                record.update(test={**record['test'], 'last': dict(record['test']['best'], checkpoint=str(checkpoint))})
                continue
            out = folder / f'test_{which}'
            shutil.rmtree(out, ignore_errors=True)
            command = ['tools/test.py', run.config, str(checkpoint), '--work-dir', str(out), '--out',
                       str(out / 'labels')]
            if root := run.options.get('test_dataloader.dataset.data_root'):
                command += ['--cfg-options', f'test_dataloader.dataset.data_root={root}']
            self.call(command)
            measures = json.loads(newest(out, '*/*.json').read_text())
            record.update(test={**record['test'], which: dict(
                mIoU=round(measures['mIoU'], 2), checkpoint=str(checkpoint), command=shlex.join(['python', *command]))})
            self.log(f'{TITLES[run.name]:13} {measures["mIoU"]:.2f} mIoU on the test split ({which} checkpoint)')
        return record.values

    def check(self) -> None:
        """Raises :class:`Stopped` where nothing new is to be begun."""
        if self.stopping.is_set():
            raise Stopped('stopped')

    def identity(self, run: Run, teacher: 'Record | None') -> dict[str, Any]:
        """What must be the same for an earlier run to be this one."""
        files = sorted((ROOT / 'configs').glob('demo/**/*.py')) + sorted((ROOT / 'configs/_base_').rglob('*.py'))
        configs = hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()
        data = json.loads((self.folder / DATA / MARKER).read_text())
        return dict(config=run.config, options=run.options, configs=configs, seed=self.seed, data=data,
                    torch=torch.__version__, teacher=teacher and teacher['identity'])

    def call(self, command: Sequence[str], progress: 'Progress | None' = None) -> None:
        """Runs a tool of this project.

        Args:
            command: Its path from the root, and its arguments.
            progress: Told every line that it prints.

        Raises:
            Stopped: It failed, or was stopped.
        """
        self.check()
        paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), PYTHONUNBUFFERED='1', MPLBACKEND='Agg')
        environment.setdefault('OMP_NUM_THREADS', '1')
        child = subprocess.Popen(
            [sys.executable, ROOT / command[0], *command[1:]], text=True, errors='replace', env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=[self.lock.fileno()])
        self.children.add(child)
        if self.stopping.is_set():
            child.terminate()
        last: deque[str] = deque(maxlen=30)
        assert child.stdout is not None
        for line in child.stdout:
            last.append(line)
            if progress is not None:
                progress.read(line)
        code = child.wait()
        self.children.discard(child)
        if code:
            self.check()
            raise Stopped(f'{"".join(last)}\nthis failed with exit code {code}:\n    '
                          f'{shlex.join(["python", *command])}')
        if progress is not None:
            progress.end()

    def results(self, runs: Sequence[Run], networks: Mapping[str, Mapping[str, int]],
                done: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """All that is known of the runs, for ``results.json``."""
        rows = {}
        for run in runs:
            record = done[run.name]
            measured = read_run(self.folder / run.name).summary()[-1]['measures']['mIoU']
            rows[run.name] = dict(
                config=run.config, command=record['command'], commit=record['commit'], phases=run.phases,
                epochs=run.epochs, images=run.images, iterations=run.cost.iterations,
                test_mIoU={which: record['test'][which]['mIoU'] for which in ('last', 'best')},
                val_mIoU={which: round(measured[which], 2) for which in ('last', 'best')},
                checkpoints={which: record['test'][which]['checkpoint'] for which in ('last', 'best')},
                test_commands={which: record['test'][which]['command'] for which in ('last', 'best')},
                **networks[run.network], training_flops=run.cost.truncated, training_flops_cached=run.cost.cached,
                seconds=round(record['seconds'], 1))
        cfg = Config.fromfile(ROOT / 'configs/demo/skd.py')
        return dict(
            command=shlex.join(['python', *sys.argv]), seed=self.seed, commit=commit(), torch=torch.__version__,
            fraction=cfg.schedule.fraction, fraction_seed=cfg.schedule.get('fraction_seed', 0),
            data=json.loads((self.folder / DATA / MARKER).read_text()),
            runs_at_a_time=self.jobs, threads=int(os.environ.get('OMP_NUM_THREADS', 1)),
            seconds=round(time.monotonic() - self.start, 1), runs=rows)

    def draw_curves(self) -> None:
        """Draws the students' validation and loss over their iterations, with the phases."""
        names = ['no_teacher', 'simultaneous', 'skd']
        plot_curves([read_run(self.folder / name, TITLES[name]) for name in names], ['mIoU', 'loss'],
                    self.folder / 'curves.png', title='Students on street scenes')

    def draw_samples(self, count: int = 4) -> None:
        """Draws images of the test split, evenly spaced, with their labels and two predictions."""
        data = self.folder / DATA
        images = sorted((data / 'test').iterdir())
        count = min(count, len(images))
        names = [images[i * len(images) // count].name for i in range(count)]
        columns = {'image': data / 'test', 'truth': data / 'testannot',
                   **{TITLES[name]: self.folder / name / 'test_best' / 'labels' for name in ('no_teacher', 'skd')}}
        height, width = self.size.pixels
        with mpl.style.context('default'):
            figure = Figure(figsize=(12, 0.9 + 3 * len(names) * height / width), layout='constrained')
            panels = figure.subplots(len(names), len(columns), squeeze=False)
            for row, name in zip(panels, names, strict=True):
                for panel, (title, folder) in zip(row, columns.items(), strict=True):
                    picture = mmcv.imread(folder / name, 'color' if title == 'image' else 'grayscale', 'rgb')
                    panel.imshow(picture if title == 'image' else PAINT[picture], interpolation='nearest')
                    panel.set_axis_off()
            for panel, title in zip(panels[0], columns, strict=True):
                panel.set_title(title)
            figure.legend(handles=[Patch(color='#' + bytes(PAINT[i]).hex(), label=name)
                                   for i, name in enumerate((*CLASSES, 'unlabelled'))],
                          loc='outside lower center', ncols=6, fontsize='small', frameon=False)
            figure.savefig(self.folder / 'samples.png', dpi=100)


class Record:
    """What is known of a run, in a file of its folder; the folder is emptied where it is another run's.

    Args:
        path: The file.
        identity: What the run is.

    Raises:
        Stopped: The folder holds something else.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        try:
            self.values: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            self.values = {}
        if self.values.get('identity') != json.loads(json.dumps(identity)):
            folder = path.parent
            if not path.is_file() and folder.is_dir() and any(folder.iterdir()):
                raise Stopped(f'{folder} holds something else than a run of the demo; give another --work-dir')
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.values = dict(identity=identity, trained=False, seconds=0.0, test={})
            self.update()

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def update(self, **values: Any) -> None:
        """Changes values and writes the file, whole."""
        self.values.update(values)
        tmp = self.path.parent.with_name(f'.{self.path.parent.name}.tmp')
        write_json(tmp, self.values)
        tmp.replace(self.path)


class Progress:
    """Makes a few short lines of what a training prints.

    Args:
        demo: Prints them.
        run: The run.
        record: Kept up to date with the seconds that the run has taken.
    """

    phase_line = re.compile(r' (phase|resumed) (?P<phase>\d+)/(?P<phases>\d+) (?P<name>\S+): trains')
    step_line = re.compile(r' (?P<unit>Iter|Epoch)\((?P<mode>train|val)\) +\[ *(?P<number>\d+)(/ *(?P<of>\d+))?\]')
    measure = re.compile(r'(?<![\w.])(?P<key>mIoU|spot_loss|loss): (?P<value>[-+.\de]+|nan)')

    def __init__(self, demo: Demo, run: Run, record: Record) -> None:
        self.demo = demo
        self.run = run
        self.record = record
        self.before = record['seconds']
        self.started = self.spoke = time.monotonic()
        self.where = ''
        self.step = ''
        self.measures: dict[str, str] = {}

    def read(self, line: str) -> None:
        """Takes a line of the training's output."""
        if match := self.phase_line.search(line):
            if self.measures:
                self.speak()
            self.where = f'phase {match["phase"]}/{match["phases"]} {match["name"]}' if self.run.phases > 1 else ''
            self.measures = {}
        elif match := self.step_line.search(line):
            if match['mode'] == 'train':
                self.step = f'iteration {match["number"]}/{match["of"]}' if match['unit'] == 'Iter' else \
                    f'epoch {match["number"]}/{self.run.epochs}'
            self.measures.update(
                (found['key'], found['value']) for found in self.measure.finditer(line))
            if time.monotonic() - self.spoke > SECONDS_BETWEEN_LINES:
                self.speak()

    def speak(self) -> None:
        """Says where the training stands."""
        self.spoke = time.monotonic()
        self.record.update(seconds=self.before + self.spoke - self.started)
        measures = [f'{key.replace("_", " ")} {value}' for key, value in self.measures.items()]
        self.demo.log(f'{TITLES[self.run.name]:13} ' + ', '.join(filter(None, [self.where, self.step, *measures])))

    def end(self) -> None:
        """The training has ended."""
        self.speak()


def newest(folder: Path, pattern: str) -> Path:
    """The newest file of a pattern."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def last_checkpoint(folder: Path) -> Path:
    """The checkpoint with which a training has ended."""
    return folder / Path((folder / 'last_checkpoint').read_text().strip()).name


def same_weights(one: Path, other: Path) -> bool:
    """Whether two checkpoints of a run hold the same weights, as they do where the last ones were the best."""
    first, second = (torch.load(path, map_location='cpu', weights_only=False)['state_dict'] for path in (one, other))
    return all(torch.equal(value, second[key]) for key, value in first.items())


def commit() -> str | None:
    """The commit of this checkout, ``-dirty`` behind it where files were changed; None outside of git."""
    try:
        found = subprocess.run(['git', 'describe', '--always', '--abbrev=40', '--exclude=*', '--dirty'], cwd=ROOT,
                               text=True, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a table, readable on a terminal too."""
    head = ['', 'images', 'epochs', 'test mIoU', '(last)', 'parameters', 'MMACs', 'training GFLOPs', 'with cache',
            'seconds']
    rows = [[TITLES[name], str(run['images']),
             f'{run["phases"]} x {run["epochs"]}' if run['phases'] > 1 else str(run['epochs']),
             f'{run["test_mIoU"]["best"]:.2f}', f'{run["test_mIoU"]["last"]:.2f}', f'{run["parameters"]:,}',
             f'{run["macs"] / 1e6:.1f}', f'{run["training_flops"] / 1e9:,.0f}',
             f'{run["training_flops_cached"] / 1e9:,.0f}', f'{run["seconds"]:.0f}']
            for name, run in results['runs'].items()]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ['| ' + ' | '.join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths, strict=True))) + ' |'
             for row in [head, *rows]]
    rules = ['-' * (width + 1) + ('-' if i == 0 else ':') for i, width in enumerate(widths)]
    lines.insert(1, f'|{"|".join(rules)}|')
    counts = results['data']['counts']
    return '\n'.join([
        *lines, '',
        f'{counts["test"]} test images; one seed ({results["seed"]}), so small differences mean nothing. The students '
        f'saw {results["fraction"]:.0%} of the training images, their teacher all {counts["train"]}. mIoU is that of '
        'the checkpoint that was best in validation, beside it that of the last. The baselines trained for as many '
        'operations as the stagewise schedule without its feature cache; validation is not counted, nor is the '
        f'teacher. Seconds: {results["runs_at_a_time"]} at a time, {results["threads"]} thread(s) each, '
        'start and validation included.', ''])


if __name__ == '__main__':
    main()
