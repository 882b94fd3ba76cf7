"""Planning and running a study from its file to its tables, as ``tools/study.py`` does."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from skd_mm.utils import atomic_replace, write_json

from .plan import Plan, make_plan
from .progress import Display, plan_notes, plan_table
from .records import STUDY, Record, archive, changed, collect
from .running import BLOCKED, FAILED, Executor, LocalExecutor, Run, run_plan
from .slurm import SlurmExecutor
from .study import StudyError, read_study
from .tables import render

WIDTH = 140  # of tables in a log file


@dataclass(frozen=True)
class Settings:
    """How a study is run.

    Attributes:
        work_dir: Where everything goes. Defaults to ``work_dirs/studies/<name of the study file>``.
        jobs: Trainings at a time. Defaults to 1, or to all of them as Slurm jobs.
        slurm: A Slurm partition; None (the default) runs on this machine.
        dry_run: Print the plan and write nothing.
        rerun_changed: Repeat trainings whose settings have changed since; otherwise they are an error.
        poll_seconds: Seconds between two queries of a Slurm job's state.
    """

    work_dir: str | None = None
    jobs: int | None = None
    slurm: str | None = None
    dry_run: bool = False
    rerun_changed: bool = False
    poll_seconds: float = 30.0


def run_study(path: str, settings: Settings) -> Run | None:
    """Plan a study, print the plan, run what is missing, and write and print the tables.

    Args:
        path: The study file.
        settings: How to run it.

    Returns:
        The state of all trainings at the end; None after a dry run.

    Raises:
        StudyError: The study cannot be run as it is; nothing has been started.
        KeyboardInterrupt: It was stopped; the same call resumes it.
    """
    torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', 1)))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    study = read_study(path)
    folder = Path(settings.work_dir or Path('work_dirs') / 'studies' / study.name)
    plan = make_plan(study, folder, lambda task: Record(folder / task).get('status') != 'done')
    jobs = settings.jobs or (len(plan.tasks) if settings.slurm else 1)
    console.print(plan_table(plan))
    _print(console, *plan_notes(plan, jobs))
    if settings.dry_run:
        return None
    return _run(plan, jobs, settings, console)


def failures(run: Run) -> list[str]:
    """Return the titles and messages of the trainings that failed or could not start."""
    return [f'{task.title}: {run.errors[task.folder]}' for state in (FAILED, BLOCKED) for task in run.in_state(state)]


def write_results(plan: Plan) -> dict[str, Any]:
    """Write ``study.json`` and ``tables.md``.

    Args:
        plan: The plan.

    Returns:
        The content of ``study.json``.
    """
    study = json.loads(json.dumps(collect(plan)))
    temporary = plan.folder / f'.{STUDY}.tmp'
    write_json(temporary, study)
    atomic_replace(temporary, plan.folder / STUDY)
    (plan.folder / 'tables.md').write_text(f'# {study["study"]["title"]}\n\n{render(study)}\n')
    return study


def _run(plan: Plan, jobs: int, settings: Settings, console: Console) -> Run:
    executor: Executor = LocalExecutor(plan, jobs) if settings.slurm is None else \
        SlurmExecutor(plan, settings.slurm, settings.poll_seconds)
    plan.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(plan.folder / '.lock', timeout=0):
            _check_changed(plan, settings.rerun_changed)
            with _interruptible(), Display(plan, jobs, console) as display:
                state = run_plan(plan, executor, jobs, display.watch, lambda _: write_results(plan))
    except Timeout:
        raise StudyError(f'another process runs the study in {plan.folder}; wait for it, or give another '
                         '--work-dir') from None
    _print(console, '', render(write_results(plan)), '', f'records  {plan.folder / STUDY}',
           f'tables   {plan.folder / "tables.md"}')
    return state


def _check_changed(plan: Plan, rerun: bool) -> None:
    """Refuse to mix trainings of different settings, or move the earlier ones."""
    tasks = [task for task in plan.tasks if changed(plan.folder, task)]
    if tasks and not rerun:
        raise StudyError(f'{len(tasks)} trainings in {plan.folder} were made with other settings: '
                         f'{", ".join(task.title for task in tasks)}. To move them and train again: --rerun-changed; '
                         'to keep them: another --work-dir')
    for task in tasks:
        archive(plan.folder / task.folder)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the study as Ctrl-C does; a shell lets programs in the background ignore Ctrl-C."""
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
