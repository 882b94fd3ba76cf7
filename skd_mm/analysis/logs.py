"""Read the log of a run: one line of JSON per logged iteration and per validation."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook

from skd_mm.utils import did_you_mean

# What a line has besides metrics.
_BOOKKEEPING = ('phase', 'step', 'iter', 'epoch', 'time', 'data_time', 'lr', 'base_lr', 'momentum', 'memory',
                'grad_norm')


@dataclass(frozen=True)
class Record:
    """One line of a log.

    Attributes:
        position: The number of iterations since the start of the run.
        mode: ``'train'`` or ``'val'``.
        phase: Name of the phase; None in a run without phases.
        values: All numbers of the line, by name.
    """

    position: int
    mode: str
    phase: str | None
    values: dict[str, float]


@dataclass
class Span:
    """A phase on the axis of the run's iterations.

    Attributes:
        name: Name of the phase; empty in a run without phases.
        start: The number of iterations before it.
        end: The number of iterations up to its end, as far as it has been logged.
        records: Its lines.
    """

    name: str
    start: int
    end: int
    records: list[Record] = field(default_factory=list)

    def series(self, key: str, mode: str) -> list[tuple[int, float]]:
        """Return one curve.

        Args:
            key: Name of a logged value.
            mode: ``'train'`` or ``'val'``.

        Returns:
            Pairs of iteration and value; none if it was not logged.
        """
        return [(record.position, record.values[key]) for record in self.records
                if record.mode == mode and key in record.values]


@dataclass
class Run:
    """The log of a run, in the order of its iterations.

    Attributes:
        name: Its name in tables and legends.
        records: Its lines.
    """

    name: str
    records: list[Record] = field(default_factory=list)

    def logged(self) -> list[str]:
        """Return the names of all logged values, in the order of appearance."""
        return list(dict.fromkeys(key for record in self.records for key in record.values))

    def spans(self) -> list[Span]:
        """Return the phases in their order; a single one without a name if the run has none."""
        spans: list[Span] = []
        for record in self.records:
            name = record.phase or ''
            if not spans or spans[-1].name != name:
                spans.append(Span(name, spans[-1].end if spans else 0, 0))
            spans[-1].end = record.position
            spans[-1].records.append(record)
        return spans

    def summary(self, keys: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Summarize each phase in numbers.

        Args:
            keys: Values to include besides the training loss and the metrics of the validation (without those of
                single spots).

        Returns:
            For each phase ``dict(phase, iterations, seconds, metrics)``. ``seconds`` is the time of the training
            iterations alone, extrapolated from the logged ones. ``metrics`` has for each name ``dict(last, best, at)``;
            ``at`` is the iteration of the best value. Less is better if MMEngine's checkpoint hook says so for that
            name (``loss`` …).
        """
        rows = []
        for span in self.spans():
            seconds, before = 0.0, span.start
            for position, duration in span.series('time', 'train'):
                seconds += duration * (position - before)
                before = position
            metrics = {key: _last_and_best(key, values) for key, values in _metrics(span.records, keys).items()}
            rows.append(dict(phase=span.name, iterations=span.end - span.start, seconds=seconds, metrics=metrics))
        return rows


def is_less_better(key: str) -> bool:
    """Return whether less is better, by the words that MMEngine's checkpoint hook looks for, such as ``loss``."""
    return any(word in key.lower() for word in CheckpointHook._default_less_keys)


def find_logs(path: str | Path) -> list[Path]:
    """Find the logs of a run.

    Args:
        path: A log, or a work directory, or a ``<time>`` directory in one.

    Returns:
        The files, oldest first: a resumed run has several.

    Raises:
        FileNotFoundError: There is none; the closest names in that folder are given.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(path.glob('vis_data/scalars.json')) or sorted(path.glob('*/vis_data/scalars.json'))
        if files:
            return files
        raise FileNotFoundError(f'{str(path)!r} has no log (vis_data/scalars.json, in itself or in its folders)')
    names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    raise FileNotFoundError(f'there is no log {str(path)!r}{did_you_mean(path.name, names)}')


def read_run(path: str | Path, name: str | None = None) -> Run:
    """Read the log of a run.

    The logs of a resumed run are joined: from its start on, a later one replaces the earlier ones.

    Args:
        path: See :func:`find_logs`.
        name: Name of the run; that of the work directory by default.

    Returns:
        The run.

    Raises:
        FileNotFoundError: There is no log.
        ValueError: A line is not one of a log, or nothing was logged.
    """
    files = find_logs(path)
    records: list[Record] = []
    for file in files:
        new = _read(file, records)
        if new:
            first = min(record.position for record in new)
            records = [record for record in records if record.position < first] + new
    if not records:
        raise ValueError(f'nothing was logged in {", ".join(map(str, files))}')
    return Run(name or _name(files[0]), records)


def read_runs(paths: Sequence[str | Path]) -> list[Run]:
    """Read the logs of several runs; those whose work directories have the same name are named by their paths."""
    runs = [read_run(path) for path in paths]
    names = [run.name for run in runs]
    for run, path in zip(runs, paths, strict=True):
        if names.count(run.name) > 1:
            run.name = str(path)
    return runs


def _read(file: Path, before: list[Record]) -> list[Record]:
    records: list[Record] = []
    # Epoch-based runs count validations in epochs; they belong to the last iteration before them.
    last = next((record for record in reversed(before) if record.mode == 'train'), None)
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            step = int(values['step'])
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines) and isinstance(error, json.JSONDecodeError):
                break  # the run was killed while it wrote this line
            raise ValueError(f'{file}, line {number} is not one of a training log: {line[:80]!r}') from None
        mode = 'train' if 'iter' in values else 'val'
        if mode == 'val' and last is not None and step == last.values.get('epoch'):
            step = last.position
        numbers = {key: float(value) for key, value in values.items() if isinstance(value, (int, float))}
        record = Record(step, mode, values.get('phase'), numbers)
        if mode == 'train':
            last = record
        records.append(record)
    return records


def _metrics(records: Sequence[Record], keys: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for key, value in record.values.items():
            if _is_metric(key, record.mode) or key in keys:
                found.setdefault(key, []).append((record.position, value))
    return found


def _is_metric(key: str, mode: str) -> bool:
    if mode == 'train':
        return key == 'loss'
    return key not in _BOOKKEEPING and not key.startswith('spots.')


def _last_and_best(key: str, values: Sequence[tuple[int, float]]) -> dict[str, float]:
    numbers = [pair for pair in values if not math.isnan(pair[1])] or values
    choose = min if is_less_better(key) else max
    at, best = choose(numbers, key=lambda pair: pair[1])
    return dict(last=values[-1][1], best=best, at=at)


def _name(file: Path) -> str:
    """Return the work directory's name in ``work_dir/<time>/vis_data/scalars.json``, or else the file's."""
    parts = file.resolve().parts
    return parts[-4] if len(parts) > 4 and parts[-2] == 'vis_data' else file.stem
