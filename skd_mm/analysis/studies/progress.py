"""Showing how far a study is, on a terminal and in a log file."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .compute import describe_length
from .execution import TRAIN
from .plan import Plan, Task, plan_rows
from .records import Record, changed, is_done
from .running import BLOCKED, DONE, FAILED, RUNNING, WAITING, Run
from .timing import describe_seconds

LINE_SECONDS = 300.0  # between two lines of a log file


@dataclass
class Progress:
    """How far a task is.

    Attributes:
        phase: What it is doing: the name of its phase, ``'training'`` or ``'testing'``.
        share: Share of its training that is done, in [0, 1].
        remaining: Estimated seconds until its training ends; None if unknown.
    """

    phase: str = 'starting'
    share: float = 0.0
    remaining: float | None = None


def read_progress(folder: Path, task: Task) -> Progress:
    """Read from a task's log how far it is.

    Args:
        folder: The study's work directory.
        task: The task.

    Returns:
        Its progress.
    """
    record = Record(folder / task.folder)
    if record.get('digest') == task.digest and record.get('trained'):
        return Progress('testing', 1.0, 0.0)
    if task.kind == 'prelude' or task.compute is None:
        return Progress('training')
    line = last_line(folder / task.folder / TRAIN)
    if line is None:
        return Progress(remaining=task.seconds)
    share = min(1.0, line['step'] / max(1, task.compute.iterations))
    spent = sum(piece['seconds'] for piece in record.get('pieces', []))
    remaining = spent / share * (1 - share) if share > 0.02 and spent else task.seconds
    return Progress(line.get('phase') or 'training', share, remaining)


def last_line(work_dir: Path) -> dict[str, Any] | None:
    """Return the newest line of training in a run's logs; None if nothing has been logged."""
    for file in sorted(work_dir.glob('*/vis_data/scalars.json'), reverse=True):
        with open(file, 'rb') as opened:
            opened.seek(0, 2)
            opened.seek(max(0, opened.tell() - 16384))
            lines = opened.read().decode(errors='replace').splitlines()
        for line in reversed(lines):
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if isinstance(values, dict) and 'iter' in values and 'step' in values:
                return values
    return None


def plan_table(plan: Plan) -> Table:
    """Return the plan as a table: one row per teacher, prelude, and method with a fraction."""
    table = Table(title=f'{plan.study.title}: {len(plan.tasks)} trainings', title_justify='left', box=box.SIMPLE)
    for name in ('', 'images', 'length', 'iterations', 'GFLOPs', 'with cache', 'time per run', 'runs', 'done'):
        table.add_column(name, justify='left' if name in ('', 'length') else 'right')
    for row in plan_rows(plan, lambda task: is_done(plan.folder, task)):
        cost = row['compute']
        share = '' if row['fraction'] is None else f' ({row["fraction"]:.4g})'
        name = (row['name'] if row['kind'] == 'run' else f'{row["kind"]} {row["name"]}') + share
        numbers = [''] * 5
        if cost is not None:
            length = describe_length(cost.phases, cost.length, cost.unit)
            numbers = [f'{cost.images:,}', length, f'{cost.iterations:,}', f'{cost.flops / 1e9:,.0f}',
                       f'{cost.flops_cached / 1e9:,.0f}']
        seconds = '' if row['seconds'] is None else f'≈ {describe_seconds(row["seconds"])}'
        table.add_row(name, *numbers, seconds, str(row['runs']), str(row['done']))
    return table


def plan_notes(plan: Plan, jobs: int) -> list[str]:
    """Return what there is to know about a plan in addition to its table.

    Args:
        plan: The plan.
        jobs: Trainings at a time.

    Returns:
        Lines: the reference of equal compute, how long it takes, and which runs have changed.
    """
    study = plan.study
    lines = [f'Measured on the {study.split} split, {study.metric}; compared with {study.baseline!r}.']
    if study.reference is not None:
        lines.append(f'With the training compute of {study.reference!r}: {", ".join(study.matched)} (without a cache, '
                     'validation not counted).')
    missing = [task for task in plan.tasks if not is_done(plan.folder, task)]
    seconds = [task.seconds or 0.0 for task in missing]
    if missing:
        total = max(sum(seconds) / jobs, max(seconds))
        lines.append(f'{len(missing)} of {len(plan.tasks)} trainings are missing; about {describe_seconds(total)} with '
                     f'{jobs} at a time, without loading and augmenting images.')
    else:
        lines.append('All trainings are done.')
    lines += [f'{task.title}: {task.folder} holds a training with other settings' for task in plan.tasks
              if changed(plan.folder, task)]
    return [*lines, *plan.warnings]


class Display:
    """Display of the state of all tasks: as a live table on a terminal, as lines in a log file.

    Use it as a context manager, and give :meth:`watch` to :func:`~skd_mm.analysis.studies.running.run_plan`.

    Args:
        plan: The plan.
        jobs: Tasks at a time.
        console: Where to write. Defaults to the standard output.
        line_seconds: Seconds between two lines about running tasks in a log file.
    """

    def __init__(self, plan: Plan, jobs: int, console: Console | None = None,
                 line_seconds: float = LINE_SECONDS) -> None:
        self.plan = plan
        self.jobs = jobs
        self.console = console or Console()
        self.line_seconds = line_seconds
        self.start = self.written = time.monotonic()
        self.seen: dict[str, str] = {}
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def __enter__(self) -> 'Display':
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def watch(self, run: Run) -> None:
        """Show a state.

        Args:
            run: The state of all tasks.
        """
        self._log_changes(run)
        progress = {task.folder: read_progress(self.plan.folder, task) for task in run.in_state(RUNNING)}
        if self.live is not None:
            self.live.update(self.table(run, progress), refresh=True)
        elif time.monotonic() - self.written > self.line_seconds:
            self.written = time.monotonic()
            self.write(self.summary(run, progress))
            for task in run.in_state(RUNNING):
                self.write(f'    {task.title}: {describe_progress(progress[task.folder])}')

    def write(self, text: str) -> None:
        """Write a line with the time since the start."""
        seconds = int(time.monotonic() - self.start)
        clock = f'{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}'
        self.console.print(f'{clock}  {text}', markup=False, highlight=False, soft_wrap=True)

    def _log_changes(self, run: Run) -> None:
        """Write a line for each task that has started or ended."""
        for folder, state in run.states.items():
            before = self.seen.get(folder)
            self.seen[folder] = state
            if state in (before, WAITING) or (before is None and state == DONE):
                continue
            text = {RUNNING: 'starts', DONE: 'done', FAILED: 'failed', BLOCKED: 'cannot start'}[state]
            error = run.errors.get(folder)
            if state == DONE:
                text += self.result(run.tasks[folder])
            elif error:
                text += f': {error.splitlines()[0]}'
            self.write(f'{run.tasks[folder].title}: {text}')

    def result(self, task: Task) -> str:
        """Return the metric of a task that is done, for its line."""
        tests = Record(self.plan.folder / task.folder).get('tests', {})
        metric = self.plan.study.metric
        found = [f'{tests[which]["metrics"][metric]:.2f} {which}' for which in ('best', 'last')
                 if metric in tests.get(which, {}).get('metrics', {})]
        return f', {metric} {", ".join(found)}' if found else ''

    def summary(self, run: Run, progress: dict[str, Progress]) -> str:
        """How many tasks are in which state, and when all will be done."""
        counts = [f'{len(run.in_state(state))} {state}' for state in (DONE, RUNNING, WAITING, FAILED, BLOCKED)
                  if run.in_state(state)]
        left = [progress[task.folder].remaining for task in run.in_state(RUNNING)]
        left += [task.seconds for task in run.in_state(WAITING)]
        known = [seconds for seconds in left if seconds is not None]
        if not known:
            return ', '.join(counts)
        remaining = max(sum(known) / self.jobs, max(known))
        return f'{", ".join(counts)}; about {describe_seconds(remaining)} left'

    def table(self, run: Run, progress: dict[str, Progress]) -> Group:
        """What a terminal shows: running and failed tasks, and a bar over all."""
        table = Table(box=None, show_header=False, padding=(0, 1))
        for task in run.in_state(RUNNING):
            state = progress[task.folder]
            table.add_row(task.title, ProgressBar(1.0, state.share, width=24), describe_progress(state))
        for task in [*run.in_state(FAILED), *run.in_state(BLOCKED)]:
            table.add_row(Text(task.title, 'red'), Text(run.states[task.folder], 'red'),
                          Text(run.errors.get(task.folder, '').splitlines()[0][:100]))
        share = len(run.in_state(DONE)) + sum(state.share for state in progress.values())
        table.add_row(self.plan.study.name, ProgressBar(len(run.tasks), share, width=24), self.summary(run, progress))
        return Group(table)


def describe_progress(progress: Progress) -> str:
    """Return a task's progress in words."""
    text = f'{progress.phase}, {progress.share:.0%}'
    if progress.remaining:
        text += f', about {describe_seconds(progress.remaining)} left'
    return text
