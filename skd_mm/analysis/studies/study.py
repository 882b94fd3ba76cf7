"""Reading and checking a study file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from skd_mm.datasets.fraction import check_fraction
from skd_mm.distillers.networks import find_config
from skd_mm.utils import did_you_mean

SPLITS = ('test', 'val')


class StudyError(ValueError):
    """A study file that cannot be run; the message names the key, the value and the nearest valid one."""


@dataclass(frozen=True)
class Teacher:
    """A network that several methods of a study share: their teacher, or the network that their student starts from.

    A teacher that is itself distilled, pruned or quantised uses those before it in the list.

    Attributes:
        name: Its name in the study.
        cfg: Path of its config: of an ordinary run, or of a schedule.
        options: Settings that replace those of the config, by dotted key as in ``--cfg-options``.
        seed: Seed of its training.
        checkpoint: Path or pattern of existing weights; the study then trains no teacher. Defaults to None.
    """

    name: str
    cfg: str
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    checkpoint: str | None = None


@dataclass(frozen=True)
class Method:
    """A method of a study: a config and options.

    Attributes:
        name: Its name in tables and folders.
        cfg: Path of its config, which has a ``schedule``.
        options: Settings that replace those of the config, by dotted key as in ``--cfg-options``.
        epochs: Length of each phase in epochs. Milestones of learning rate schedules are scaled with it. Defaults to
            the config's length, or to the one that equal compute gives.
        teacher: Name of its teacher in the study; only needed if several have the same config.
    """

    name: str
    cfg: str
    options: dict[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    teacher: str | None = None

    @property
    def slug(self) -> str:
        """The name as it stands in paths."""
        return slug(self.name)


@dataclass(frozen=True)
class Study:
    """Several methods, each trained with several seeds.

    Attributes:
        name: Name of the study file, without its suffix.
        methods: The methods, in the order of the tables.
        seeds: One run per method, fraction and seed.
        metric: The metric of the tables, as the evaluator names it: ``'mIoU'``, ``'accuracy/top1'``.
        baseline: Name of the method that the others are compared with. Defaults to the first.
        title: Title of the tables. Defaults to the name.
        fractions: Shares of the training images, each in (0, 1]. None keeps those of the configs.
        fraction_seed: Seed of the images that a fraction selects. None (the default) takes each run's own seed.
        split: Where results are measured: ``'test'`` (the default) or ``'val'``.
        reference: Name of the method whose training compute the matched ones get. Defaults to None.
        matched: Names of the methods whose lengths are computed from it.
        teachers: The teachers, each trained once.
        data: Settings of the data sets that all runs and teachers share.
        options: Settings that all methods share, but not the teachers.
    """

    name: str
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    metric: str
    baseline: str
    title: str = ''
    fractions: tuple[float | None, ...] = (None, )
    fraction_seed: int | None = None
    split: str = 'test'
    reference: str | None = None
    matched: tuple[str, ...] = ()
    teachers: tuple[Teacher, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def method(self, name: str) -> Method:
        """Return the method of that name."""
        return next(method for method in self.methods if method.name == name)


KEYS = ('title', 'methods', 'seeds', 'metric', 'baseline', 'fractions', 'fraction_seed', 'split', 'equal_compute',
        'teachers', 'data', 'options')


def slug(name: str) -> str:
    """Return a name with nothing but letters, digits, ``.``, ``-`` and ``_``, for paths."""
    return re.sub(r'[^\w.-]+', '-', name).strip('-').lower()


def read_study(path: str | Path) -> Study:
    """Read a study file and check all that can be checked without building a model.

    A study file is a Python config with one variable, ``study``; others may help to write it::

        study = dict(
            seeds=[0, 1, 2],
            fractions=[0.1],
            metric='mIoU',
            equal_compute='SKD',
            teachers=[dict(cfg='configs/teachers/…')],
            methods=[dict(name='no teacher', cfg='configs/baselines/…'), dict(name='SKD', cfg='configs/skd/…')])

    Args:
        path: The study file, from the working directory or from the root of skd_mm.

    Returns:
        The study.

    Raises:
        StudyError: It is not there, or something in it is wrong. All errors are reported together.
    """
    try:
        file = find_config(str(path))
    except FileNotFoundError as error:
        raise StudyError(str(error).replace('config', 'study file', 1)) from error
    try:
        cfg = Config.fromfile(file).to_dict()
    except Exception as error:
        raise StudyError(f'{path} cannot be read: {type(error).__name__}: {error}') from error
    if not isinstance(cfg.get('study'), Mapping):
        raise StudyError(f'{path} has no `study = dict(...)`{did_you_mean("study", cfg)}')
    errors: list[str] = []
    study = _Reader(dict(cfg['study']), errors).study(Path(file).stem)
    raise_errors(path, errors)
    assert study is not None
    return study


def raise_errors(path: str | Path, errors: Sequence[str]) -> None:
    """Raise one :class:`StudyError` for all errors, if there are any."""
    if errors:
        lines = list(dict.fromkeys(errors))
        raise StudyError(f'{path}: {lines[0]}' if len(lines) == 1 else
                         f'{path}: {len(lines)} errors\n' + '\n'.join(f'  - {line}' for line in lines))


class _Reader:
    """Reader that builds a study from a dict and collects the errors in it.

    Args:
        values: The dict.
        errors: Errors are appended to it.
    """

    def __init__(self, values: dict[str, Any], errors: list[str]) -> None:
        self.values = values
        self.errors = errors

    def study(self, name: str) -> Study | None:
        """Return the study, or None if there are errors."""
        self.check_keys(self.values, KEYS, 'study')
        seeds = self.seeds()
        fractions = self.fractions()
        methods = self.methods()
        names = [method.name for method in methods]
        baseline = self.choice('baseline', names, names[0] if names else '')
        reference, matched = self.equal_compute(names)
        teachers = self.teachers()
        self.check_teacher_names(methods, teachers)
        split = self.choice('split', SPLITS, 'test')
        metric = self.values.get('metric')
        if not isinstance(metric, str) or not metric:
            self.errors.append(f"study.metric must be the name of a metric, such as 'mIoU' or 'accuracy/top1', not "
                               f'{metric!r}')
        fraction_seed = self.values.get('fraction_seed')
        if fraction_seed is not None and not _is_seed(fraction_seed):
            self.errors.append(f'study.fraction_seed must be a whole number from 0 on, or None for that of each run, '
                               f'not {fraction_seed!r}')
        data, options = self.options(self.values, 'data', 'study'), self.options(self.values, 'options', 'study')
        if self.errors:
            return None
        return Study(name, tuple(methods), tuple(seeds), str(metric), baseline, self.values.get('title') or name,
                     tuple(fractions), fraction_seed, split, reference, tuple(matched), tuple(teachers), data, options)

    def check_keys(self, values: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
        """Report keys that do not exist."""
        self.errors += [f'{where} has no key {key!r}{did_you_mean(key, keys)} (it takes {", ".join(keys)})'
                        for key in values if key not in keys]

    def seeds(self) -> list[int]:
        """Return the seeds."""
        seeds = self.values.get('seeds')
        if not isinstance(seeds, list | tuple) or not seeds or not all(map(_is_seed, seeds)):
            self.errors.append(f'study.seeds must be a list of one or more whole numbers from 0 on, such as [0, 1, 2], '
                               f'not {seeds!r}')
            return []
        self.report_duplicates('study.seeds', seeds)
        return list(seeds)

    def fractions(self) -> list[float | None]:
        """Return the fractions; None alone for those of the configs."""
        fractions = self.values.get('fractions')
        if fractions is None:
            return [None]
        if not isinstance(fractions, list | tuple) or not fractions:
            self.errors.append(f'study.fractions must be a list of numbers in (0, 1], not {fractions!r}')
            return [None]
        for fraction in fractions:
            try:
                check_fraction(fraction)
            except ValueError as error:
                self.errors.append(f'study.fractions: {error}')
        self.report_duplicates('study.fractions', fractions)
        return list(fractions)

    def methods(self) -> list[Method]:
        """Return the methods that can be read."""
        methods = self.entries(Method, 'methods')
        if not self.values.get('methods'):
            self.errors.append('study.methods must be a list of one or more dicts with `name` and `cfg`')
        for method in methods:
            epochs = method.epochs
            if epochs is not None and (isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1):
                self.errors.append(f'method {method.name!r}: `epochs` must be a whole number from 1 on, not {epochs!r}')
        return methods

    def teachers(self) -> list[Teacher]:
        """Return the teachers that can be read."""
        entries = self.values.get('teachers') or []
        if isinstance(entries, list):
            for entry in entries:
                if isinstance(entry, dict) and isinstance(entry.get('cfg'), str):
                    entry.setdefault('name', Path(entry['cfg']).stem)
        teachers = self.entries(Teacher, 'teachers')
        self.errors += [f'teacher {teacher.name!r}: `seed` must be a whole number from 0 on, not {teacher.seed!r}'
                        for teacher in teachers if not _is_seed(teacher.seed)]
        return teachers

    def entries(self, kind: Any, key: str) -> list[Any]:
        """Return a list of dicts as objects."""
        entries = self.values.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.errors.append(f'study.{key} must be a list of dicts, not {entries!r}')
            return []
        keys = [entry.name for entry in fields(kind)]
        found = []
        for i, values in enumerate(entries):
            where = f'study.{key}[{i}]'
            missing = [name for name in ('name', 'cfg') if not isinstance(values.get(name), str) or not values[name]]
            if missing:
                self.errors.append(f'{where} needs {" and ".join(f"`{name}`" for name in missing)}, not {values!r}')
                continue
            where = f'{where} ({values["name"]!r})'
            self.check_keys(values, keys, where)
            try:
                find_config(values['cfg'])
            except FileNotFoundError as error:
                self.errors.append(f'{where}: {error}')
            values = {name: value for name, value in values.items() if name in keys}
            found.append(kind(**{**values, 'options': self.options(values, 'options', where)}))
        self.report_duplicates(f'study.{key}', [slug(entry.name) for entry in found])
        return found

    def options(self, values: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
        """Return a dict of options."""
        options = values.get(key) or {}
        if not isinstance(options, dict):
            self.errors.append(f'{where}: `{key}` must be a dict of config keys and values, not {options!r}')
            return {}
        return options

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """Return a value that is one of several."""
        value = self.values.get(key, default)
        if value not in choices:
            self.errors.append(f'study.{key}={value!r} is none of {list(choices)}{did_you_mean(value, choices)}')
        return value

    def equal_compute(self, names: Sequence[str]) -> tuple[str | None, list[str]]:
        """Return the reference of equal compute and the methods that are matched to it."""
        value = self.values.get('equal_compute')
        if value is None:
            return None, []
        if isinstance(value, str):
            value = dict(reference=value)
        if not isinstance(value, dict) or 'reference' not in value:
            self.errors.append('study.equal_compute must be the name of a method, or dict(reference=..., '
                               f'methods=[...]), not {value!r}')
            return None, []
        self.check_keys(value, ('reference', 'methods'), 'study.equal_compute')
        reference = value['reference']
        matched = value.get('methods') or [name for name in names if name != reference]
        for name in [reference, *matched]:
            if name not in names:
                self.errors.append(f'study.equal_compute names {name!r}, which is none of the methods {list(names)}'
                                   f'{did_you_mean(name, names)}')
        if reference in matched:
            self.errors.append(f'study.equal_compute.methods: {reference!r} is the reference itself')
        return reference, matched

    def check_teacher_names(self, methods: Sequence[Method], teachers: Sequence[Teacher]) -> None:
        """Report methods that name a teacher that is not in the study."""
        names = [teacher.name for teacher in teachers]
        self.errors += [f'method {method.name!r}: teacher={method.teacher!r} is none of {names}'
                        f'{did_you_mean(method.teacher, names)}'
                        for method in methods if method.teacher is not None and method.teacher not in names]

    def report_duplicates(self, where: str, values: Sequence[Any]) -> None:
        """Report values that are there twice."""
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            self.errors.append(f'{where}: {", ".join(map(repr, twice))} stands there more than once')


def _is_seed(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
