"""What is known of each run, and the ``study.json`` that is made of it."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import torch

from skd_mm.analysis.run_files import find_commit
from skd_mm.tasks import LIBRARIES
from skd_mm.utils import atomic_replace, write_json
from skd_mm.version import __version__

from .plan import Plan, Task
from .study import slug

RECORD, STUDY = 'record.json', 'study.json'
_LIBRARIES = ('torch', 'mmengine', 'mmcv', *LIBRARIES, 'numpy')
# Differ between two executions of one study; everything else is the same.
MEASURED = ('resources', 'commit', 'versions', 'error')


class Record:
    """What is known of a task, in a file of its folder.

    Args:
        folder: The task's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        try:
            self.values: dict[str, Any] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            self.values = {}

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or a default."""
        return self.values.get(key, default)

    def update(self, **values: Any) -> None:
        """Change values and write the file; it is complete at any time."""
        self.values.update(values)
        temporary = self.path.with_name(f'.{self.path.name}.tmp')
        write_json(temporary, self.values)
        atomic_replace(temporary, self.path)

    def start(self, digest: str) -> None:
        """Begin a record of a training that has not been started."""
        if self.get('digest') != digest:
            self.values = {}
            self.update(digest=digest, status='started', commit=find_commit(), versions=versions(), trained=False,
                        pieces=[], tests={})


def is_done(folder: Path, task: Task) -> bool:
    """Return whether a task has been trained and tested as planned."""
    record = Record(folder / task.folder)
    if record.get('digest') != task.digest or record.get('status') != 'done':
        return False
    return task.kind == 'prelude' or all(
        record['tests'].get(which, {}).get('report') == task.report for which in ('best', 'last'))


def changed(folder: Path, task: Task) -> bool:
    """Return whether a task's folder holds a training with other settings."""
    return Record(folder / task.folder).get('digest') not in (None, task.digest)


def versions() -> dict[str, str]:
    """Versions of Python and the libraries, the device, and the number of threads."""
    distributions = packages_distributions()
    found = dict(skd_mm=__version__, python=platform.python_version())
    for library in _LIBRARIES:
        names = sorted(set(distributions.get(library, [])))
        if names:
            found[library] = f'{names[0]} {version(names[0])}' if names[0] != library else version(library)
    if torch.cuda.is_available():
        found['device'] = torch.cuda.get_device_name()
    else:
        found['device'] = 'CPU'
    found['threads'] = os.environ.get('OMP_NUM_THREADS', str(torch.get_num_threads()))
    return found


def collect(plan: Plan) -> dict[str, Any]:
    """Return the content of ``study.json``: the study, its methods, and one record per task.

    Paths of this machine are not in it. Two executions of one study differ in :data:`MEASURED` alone, see
    :func:`comparable`.

    Args:
        plan: The plan.

    Returns:
        Values that JSON can hold.
    """
    study = plan.study
    head = dict(name=study.name, title=study.title, metric=study.metric, split=study.split, seeds=list(study.seeds),
                fractions=list(study.fractions), baseline=study.baseline, reference=study.reference,
                matched=list(study.matched), data=study.data, options=study.options)
    methods = [dict(name=method.name, config=method.cfg, options=method.options) for method in study.methods]
    return dict(study=head, methods=methods, records=[_record(plan, task) for task in plan.tasks])


def _record(plan: Plan, task: Task) -> dict[str, Any]:
    record = Record(plan.folder / task.folder)
    known = record.values if record.get('digest') == task.digest else {}
    values: dict[str, Any] = dict(kind=task.kind, name=task.name, fraction=task.fraction, seed=task.seed,
                                  digest=task.digest, status='done' if is_done(plan.folder, task) else 'missing')
    if task.kind == 'prelude':
        values.pop('seed')
    if known.get('status') == 'failed':
        values.update(status='failed', error=known.get('error'))
    if task.compute is not None:
        values['compute'] = asdict(task.compute)
    if values['status'] == 'done':
        tests = known['tests']
        values['metrics'] = {which: tests[which]['metrics'] for which in tests}
        values['per_class'] = {which: tests[which]['per_class'] for which in tests}
        values.update(commit=known['commit'], versions=known['versions'], resources=resources(known))
    return values


def resources(record: Mapping[str, Any]) -> dict[str, Any]:
    """Add up the resources of all the times that a training was started.

    Args:
        record: The record's values.

    Returns:
        Seconds of the wall clock, of the CPU and of the GPU (None without one), peak memory of a process and of the GPU
        in MiB, and how often the training was started.
    """
    pieces = record['pieces']
    on_gpu = any(piece.get('gpu') for piece in pieces)
    seconds = sum(piece['seconds'] for piece in pieces)
    return dict(seconds=round(seconds, 1), cpu_seconds=round(sum(piece['cpu_seconds'] for piece in pieces), 1),
                gpu_seconds=round(seconds, 1) if on_gpu else None,
                peak_memory_mib=max((piece['peak_memory_mib'] for piece in pieces), default=None),
                peak_gpu_memory_mib=record.get('peak_gpu_memory_mib'), starts=len(pieces))


def comparable(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``study.json`` without what differs between two executions of one study.

    Args:
        study: The content.

    Returns:
        The content without times, memory, commits and versions.
    """
    records = [{key: value for key, value in record.items() if key not in MEASURED} for record in study['records']]
    return dict(study, records=records)


def write_task(plan: Plan, task: Task) -> None:
    """Write what a process needs to carry out a task: its config and a ``task.json``.

    Args:
        plan: The plan.
        task: The task.
    """
    folder = plan.folder / task.folder
    folder.mkdir(parents=True, exist_ok=True)
    task.cfg.dump(folder / 'config.py')
    write_json(folder / 'task.json', dict(
        kind=task.kind, name=task.name, title=task.title, study=slug(plan.study.name), seed=task.seed,
        fraction=task.fraction, digest=task.digest, report=task.report, split=plan.study.split,
        metric=plan.study.metric))


def archive(folder: Path) -> Path:
    """Move a task's folder to the first free name of ``<folder>.1``, ``<folder>.2`` and so on.

    Args:
        folder: The folder.

    Returns:
        Where it is now.
    """
    number = 1
    while (moved := folder.with_name(f'{folder.name}.{number}')).exists():
        number += 1
    return folder.rename(moved)
