"""The plan of a study: every training it consists of, with lengths, compute and estimated time."""

import copy
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

from skd_mm.config import check_config
from skd_mm.datasets.building import build_dataset

from . import compute, configs, timing
from .compute import Compute, Counted
from .study import Method, Study, StudyError, Teacher, raise_errors, slug


@dataclass
class Task:
    """A training of a study, and the tests of what it gives.

    Attributes:
        kind: ``'teacher'``, ``'prelude'`` or ``'run'``.
        name: Name of the teacher or of the method.
        folder: Where everything of it is kept, below the study's work directory.
        cfg: Its config.
        seed: Its seed.
        fraction: Its share of the training images; None for that of the config.
        digest: Digest of all settings of its training.
        report: Digest of the data and metrics of its tests.
        compute: What its training costs; None for a prelude.
        seconds: Estimated seconds of its training; None if they have not been estimated.
        needs: Folders of the tasks that must be done first.
    """

    kind: str
    name: str
    folder: str
    cfg: Config
    seed: int
    fraction: float | None = None
    digest: str = ''
    report: str = ''
    compute: Compute | None = None
    seconds: float | None = None
    needs: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """What it is called in messages."""
        if self.kind != 'run':
            return f'{self.kind} {self.name}'
        share = '' if self.fraction is None else f' {self.fraction:.4g}'
        return f'{self.name}{share} seed {self.seed}'


@dataclass
class Plan:
    """All trainings of a study.

    Attributes:
        study: The study.
        folder: Its work directory.
        tasks: The trainings; each comes after those that it needs.
        warnings: Names in configs that mean nothing.
    """

    study: Study
    folder: Path
    tasks: list[Task]
    warnings: list[str] = field(default_factory=list)


def make_plan(study: Study, folder: Path, estimate: Callable[[str], bool] = lambda _: True) -> Plan:
    """Build and count every config of a study.

    Args:
        study: The study.
        folder: Its work directory; nothing is written.
        estimate: Whether the time of a task's training is to be estimated, by the task's folder. Defaults to all.

    Returns:
        The plan.

    Raises:
        StudyError: Something does not exist or cannot be built. All errors are reported together.
    """
    planner = _Planner(study, folder, estimate)
    with _quiet():
        tasks = planner.tasks()
    raise_errors(study.name, planner.errors)
    return Plan(study, folder, tasks, list(dict.fromkeys(planner.warnings)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what building models logs; errors are still logged."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Planner:
    """Planner that creates the tasks of a study and collects errors.

    Args:
        study: The study.
        folder: Its work directory.
        estimate: Whether to estimate the time of a task, by its folder.
    """

    def __init__(self, study: Study, folder: Path, estimate: Callable[[str], bool]) -> None:
        self.study = study
        self.folder = folder
        self.estimate = estimate
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.checked: set[str] = set()
        self.preludes: dict[str, list[Task]] = {}

    def tasks(self) -> list[Task]:
        """Return all tasks: teachers, preludes, then the runs by fraction, seed and method."""
        teachers: dict[str, Task] = {}
        for teacher in self.study.teachers:
            with self.collect(f'teacher {teacher.name!r}'):
                teachers[teacher.name] = self.teacher(teacher, teachers)
        counted: dict[str, Counted] = {}
        for method in self.study.methods:
            with self.collect(f'method {method.name!r}'):
                counted[method.name] = self.check_method(method)
        if self.errors:
            return []
        runs: list[Task] = []
        for fraction in self.study.fractions:
            lengths = self.lengths(fraction, counted)
            of_fraction: list[Task] = []
            for method in self.study.methods:
                if method.name in lengths:
                    of_fraction += self.runs(method, fraction, counted[method.name], lengths[method.name], teachers)
            # Seed after seed, so that methods can be compared before all of them are done.
            runs += sorted(of_fraction, key=lambda task: self.study.seeds.index(task.seed))
        trained = [task for task in teachers.values() if task.digest]
        return [*trained, *(task for tasks in self.preludes.values() for task in tasks), *runs]

    @contextmanager
    def collect(self, where: str) -> Iterator[None]:
        """Turn an exception into an error that names its place."""
        try:
            yield
        except StudyError as error:
            text = str(error)
            self.errors.append(text if text.startswith(('method', 'teacher')) else f'{where}: {text}')
        except (AssertionError, FileNotFoundError, ImportError, KeyError, OSError, TypeError, ValueError) as error:
            text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
            self.errors.append(f'{where}: {text or type(error).__name__}')

    def teacher(self, teacher: Teacher, earlier: dict[str, Task]) -> Task:
        """Return the task that trains a teacher; without a digest if its weights exist.

        Args:
            teacher: The teacher.
            earlier: The tasks of those before it, by name.
        """
        cfg = configs.teacher_config(self.study, teacher)
        task = Task('teacher', teacher.name, f'teachers/{slug(teacher.name)}', cfg, teacher.seed)
        if teacher.checkpoint is not None:
            configs.find_checkpoint(teacher.checkpoint, 'teacher')
            return task
        self.check_config(cfg)
        self.check_data(cfg, self.study.split)
        whole = compute.as_schedule(cfg)
        counted = compute.count(whole)
        task.compute = counted.compute(whole)
        networks = configs.find_networks(self.study, f'teacher {teacher.name!r}', cfg)
        task.digest = configs.training_digest(cfg, teacher.seed, self.share_networks(task, networks, earlier))
        task.report = configs.report_digest(cfg, self.study.split)
        if self.estimate(task.folder):
            task.seconds = timing.estimate_seconds(whole, counted, task.compute)
        return task

    def check_method(self, method: Method) -> Counted:
        """Check a method's config as far as possible and count it."""
        cfg = configs.method_config(self.study, method, self.study.fractions[0], self.study.seeds[0])
        self.check_config(cfg)
        self.check_data(cfg, self.study.split)
        configs.find_networks(self.study, f'method {method.name!r}', cfg, method.teacher)
        return compute.count(cfg)

    def check_config(self, cfg: Config) -> None:
        """Check the names in a config."""
        self.warnings += [f'{cfg.filename}: {line}' for line in check_config(cfg)]

    def check_data(self, cfg: Config, split: str) -> None:
        """Build the data sets that a run needs, each once."""
        parts = {'train_dataloader.dataset': cfg.train_dataloader.dataset}
        if cfg.get('val_dataloader'):
            parts['val_dataloader.dataset'] = cfg.val_dataloader.dataset
        key, dataset = configs.report_data(cfg, split)
        parts[key] = dataset
        configs.check_metric(cfg, split, self.study.metric)
        for key, dataset in parts.items():
            text = json.dumps([dataset, cfg.get('default_scope')], sort_keys=True, default=str)
            if text not in self.checked:
                with DATASETS.switch_scope_and_registry(cfg.get('default_scope')):
                    build_dataset(dataset, key)
                self.checked.add(text)

    def lengths(self, fraction: float | None, counted: dict[str, Counted]) -> dict[str, tuple[Config, Compute]]:
        """Each method's config with its length, and its compute."""
        lengths = {}
        total = None
        reference = self.study.reference
        order = sorted(self.study.methods, key=lambda method: method.name != reference)
        for method in order:
            with self.collect(f'method {method.name!r}'):
                cfg = configs.method_config(self.study, method, fraction, self.study.seeds[0])
                if method.name in self.study.matched and total is not None:
                    compute.match(cfg, counted[method.name], total)
                cost = counted[method.name].compute(cfg)
                if method.name == reference:
                    total = cost.flops
                lengths[method.name] = cfg, cost
        return lengths

    def runs(self, method: Method, fraction: float | None, counted: Counted, length: tuple[Config, Compute],
             teachers: dict[str, Task]) -> list[Task]:
        """Return the runs of a method with a fraction, one per seed."""
        matched, cost = length
        share = () if fraction is None else (f'fraction-{fraction:g}', )
        seconds = None
        tasks = []
        for seed in self.study.seeds:
            cfg = configs.method_config(self.study, method, fraction, seed)
            if method.name in self.study.matched and cost.length is not None:
                configs.set_length(cfg, cost.unit, cost.length)
            folder = '/'.join(['runs', method.slug, *share, f'seed-{seed}'])
            task = Task('run', method.name, folder, cfg, seed, fraction, compute=cost)
            with self.collect(task.title):
                self.share(task, method, teachers)
            if seconds is None and self.estimate(folder):
                seconds = timing.estimate_seconds(matched, counted, cost)
            task.seconds = seconds
            tasks.append(task)
        return tasks

    def share(self, task: Task, method: Method, teachers: dict[str, Task]) -> None:
        """Give a run the networks and the prelude that it shares with others, and its digests."""
        cfg = task.cfg
        networks = configs.find_networks(self.study, f'method {method.name!r}', cfg, method.teacher)
        task.digest = configs.training_digest(cfg, task.seed, self.share_networks(task, networks, teachers))
        task.report = configs.report_digest(cfg, self.study.split)
        if cfg.get('prelude'):
            task.needs.append(self.prelude(cfg).folder)

    def share_networks(self, task: Task, networks: Mapping[str, Teacher], teachers: dict[str, Task]) -> dict[str, str]:
        """Give a run the weights of the study's networks, and return the digests of their trainings by role.

        Raises:
            StudyError: A teacher needs one that comes after it.
        """
        digests = {}
        for role, network in networks.items():
            if network.name not in teachers:
                raise StudyError(f'{task.title} needs the teacher {network.name!r}, which must come before it in '
                                 'study.teachers')
            trained = teachers[network.name]
            if network.checkpoint is not None:
                task.cfg.model[role].checkpoint = network.checkpoint
                continue
            digests[role] = trained.digest
            pattern = configs.weights_pattern(trained.cfg)
            task.cfg.model[role].checkpoint = str(self.folder / trained.folder / 'train' / pattern)
            if trained.folder not in task.needs:
                task.needs.append(trained.folder)
        return digests

    def prelude(self, cfg: Config) -> Task:
        """Return the task that trains a run's prelude; runs with the same one share it.

        Args:
            cfg: The run's config, whose prelude gets the study's folder.
        """
        cfg.prelude.dir = str(self.folder / 'preludes')
        teacher = cfg.model.get('teacher') or {}
        # How a bank is read does not change what is in it.
        bank = {key: teacher.get(key) for key in ('type', 'num_classes', 'rows')}
        settings = cfg.prelude.to_dict()
        training = json.dumps([settings['cfg'], settings.get('options')], sort_keys=True, default=str)
        key = json.dumps([settings, bank], sort_keys=True, default=str)
        tasks = self.preludes.setdefault(training, [])
        for task in tasks:
            if task.report == key:
                return task
        name = Path(settings['cfg']).stem
        number = sum(len(others) for others in self.preludes.values()) + 1
        task = Task('prelude', name, f'preludes/task-{number}', copy.deepcopy(cfg), 0, report=key)
        task.digest = configs._digest([key])
        # Two that train in one folder, with banks of different sizes, take turns.
        task.needs = [tasks[-1].folder] if tasks else []
        tasks.append(task)
        return task


def plan_rows(plan: Plan, done: Callable[[Task], bool]) -> list[dict[str, Any]]:
    """Summarise a plan by method and fraction.

    Args:
        plan: The plan.
        done: Whether a task is done.

    Returns:
        One dict per teacher, prelude, and method with a fraction: ``name``, ``kind``, ``fraction``, ``runs``, ``done``,
        ``compute`` and ``seconds`` (of one run).
    """
    rows: dict[tuple, dict[str, Any]] = {}
    for task in plan.tasks:
        key = (task.kind, task.name, task.fraction)
        row = rows.setdefault(key, dict(name=task.name, kind=task.kind, fraction=task.fraction, runs=0, done=0,
                                        compute=task.compute, seconds=None))
        row['runs'] += 1
        row['done'] += done(task)
        if task.seconds is not None:
            row['seconds'] = task.seconds
    return list(rows.values())
