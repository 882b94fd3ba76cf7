"""Finding what a report is about: the runs in work directories, and studies."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from skd_mm.analysis.logs import Run, find_logs, read_run
from skd_mm.analysis.run_files import best_checkpoint, newest
from skd_mm.distillers.networks import find_checkpoint, read_config
from skd_mm.utils import did_you_mean, error_message


@dataclass
class ReportRun:
    """A trained network of a report.

    Attributes:
        method: Name of the method; several seeds share it.
        work_dir: Its work directory; None for a teacher that is known from the config of its student alone.
        cfg: Its config.
        log: Its log; None if nothing was logged.
        checkpoint: Its best checkpoint; None if there is none.
        is_teacher: Whether it is the teacher of other runs.
        seed: Its seed; None if unknown.
        metrics: Results of its test, if a study measured them.
    """

    method: str
    work_dir: Path | None
    cfg: Config
    log: Run | None = None
    checkpoint: Path | None = None
    is_teacher: bool = False
    seed: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass
class Sources:
    """What a report is about.

    Attributes:
        runs: The runs, teachers first.
        studies: Contents of the ``study.json`` files.
        deployments: Folders with the files of deployed students.
        notes: What could not be read, in sentences.
    """

    runs: list[ReportRun] = field(default_factory=list)
    studies: list[dict[str, Any]] = field(default_factory=list)
    deployments: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def methods(self) -> dict[str, list[ReportRun]]:
        """Return the runs by method, in their order."""
        found: dict[str, list[ReportRun]] = {}
        for run in self.runs:
            found.setdefault(run.method, []).append(run)
        return found

    def representatives(self) -> list[ReportRun]:
        """Return one run per method: the first with a checkpoint, or else the first."""
        return [next((run for run in runs if run.checkpoint), runs[0]) for runs in self.methods().values()]


def find_sources(paths: Sequence[str]) -> Sources:
    """Find the runs that a report is about.

    Args:
        paths: Work directories of runs or of studies, or folders of work directories; ``NAME=PATH`` names the method
            of a run, and runs of one name are its seeds. Also folders of ``tools/deploy.py``, for the latency.

    Returns:
        The runs and studies.

    Raises:
        FileNotFoundError: A folder does not exist; the closest names are given.
        ValueError: A folder has neither a run nor a study.
    """
    sources = Sources()
    for path in paths:
        name, folder = _split(path)
        if not folder.is_dir():
            names = [other.name for other in folder.parent.iterdir()] if folder.parent.is_dir() else []
            raise FileNotFoundError(f'there is no folder {str(folder)!r}{did_you_mean(folder.name, names)}')
        if (folder / 'study.json').is_file() or next(_tasks(folder), None):
            _add_study(sources, folder)
            continue
        if (folder / 'deploy.json').is_file():
            sources.deployments.append(folder)
            continue
        inside = [folder] if _is_run(folder) else sorted(child for child in folder.iterdir() if _is_run(child))
        if not inside:
            raise ValueError(f'{str(folder)!r} has neither a run (last_checkpoint or a log) nor a study (study.json), '
                             'and no folder with a run in it')
        for run in inside:
            method = name if name and run == folder else run.name
            _add_run(sources, ReportRun(method, run, Config()))
    _number_names(sources)
    _mark_teachers(sources)
    _add_teacher(sources)
    sources.runs.sort(key=lambda run: not run.is_teacher)
    return sources


def _split(path: str) -> tuple[str, Path]:
    """Return name and folder of an argument; the name is empty if it has none."""
    name, sign, folder = path.partition('=')
    if sign and not Path(path).is_dir():
        return name, Path(folder)
    return '', Path(path)


def _is_run(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if (folder / 'last_checkpoint').is_file():
        return True
    try:
        return bool(find_logs(folder))
    except FileNotFoundError:
        return False


def _tasks(folder: Path) -> Iterator[Path]:
    """Yield the ``task.json`` files of a study's work directory."""
    for pattern in ('teachers/*/task.json', 'runs/*/*/*/task.json', 'runs/*/*/task.json'):
        yield from sorted(folder.glob(pattern))


def _add_study(sources: Sources, folder: Path) -> None:
    """Add the trainings of a study; those that were archived have a digest that the study does not have."""
    digests = None
    try:
        study = json.loads((folder / 'study.json').read_text())
        sources.studies.append(study)
        digests = {record['digest'] for record in study['records']}
    except FileNotFoundError:
        sources.notes.append(f'{folder} has no study.json yet: none of its trainings has finished.')
    fractions = set()
    tasks = [(file, json.loads(file.read_text())) for file in _tasks(folder)]
    tasks = [(file, task) for file, task in tasks if digests is None or task['digest'] in digests]
    fractions = {task['fraction'] for _, task in tasks if task['kind'] == 'run'}
    for file, task in tasks:
        name = task['name']
        if task['kind'] == 'run' and len(fractions) > 1:
            name += f' ({100 * task["fraction"]:.4g} %)'
        run = ReportRun(name, file.parent / 'train', Config(), is_teacher=task['kind'] == 'teacher', seed=task['seed'])
        try:
            record = json.loads((file.parent / 'record.json').read_text())
            run.metrics = record['tests']['best']['metrics']
        except (OSError, ValueError, KeyError):
            sources.notes.append(f'{task["title"]} has not been tested.')
        _add_run(sources, run)


def _add_run(sources: Sources, run: ReportRun) -> None:
    """Read config, log and checkpoint of a run."""
    assert run.work_dir is not None
    try:
        run.cfg = _read_config(run.work_dir)
    except (OSError, ValueError) as error:
        sources.notes.append(f'{run.work_dir} is left out, as it has no config: {error_message(error)}')
        return
    if run.seed is None:
        run.seed = (run.cfg.get('randomness') or {}).get('seed')
    try:
        run.log = read_run(run.work_dir, run.method)
    except (OSError, ValueError) as error:
        sources.notes.append(f'{run.method}: {error_message(error)}')
    try:
        run.checkpoint = best_checkpoint(run.work_dir)
    except (OSError, ValueError, KeyError):
        sources.notes.append(f'{run.method}: no checkpoint in {run.work_dir}')
    sources.runs.append(run)


def _read_config(work_dir: Path) -> Config:
    """Return the config that a run was started with: MMEngine writes it into the work directory."""
    for pattern in ('*.py', '*/vis_data/config.py'):
        try:
            return Config.fromfile(newest(work_dir, pattern))
        except ValueError:
            continue
    raise FileNotFoundError(f'{work_dir} has no config')


def _number_names(sources: Sources) -> None:
    """Tell methods of one name but with different models or schedules apart."""
    for method, runs in sources.methods().items():
        seeds = [run.seed for run in runs]
        if len(runs) > 1 and len(set(seeds)) < len(seeds):
            for number, run in enumerate(runs, 1):
                run.method = f'{method} #{number}'


def _mark_teachers(sources: Sources) -> None:
    """Mark the runs whose checkpoints other runs use as teachers."""
    used = {file.parent for run in sources.runs if (file := teacher_checkpoint(run.cfg)) is not None}
    for run in sources.runs:
        if run.work_dir is not None and run.work_dir.resolve() in used:
            run.is_teacher = True


def teacher_checkpoint(cfg: Config) -> Path | None:
    """Return the file of a teacher's weights; None without a teacher, or if the file does not exist."""
    checkpoint = ((cfg.get('model') or {}).get('teacher') or {}).get('checkpoint')
    if not checkpoint:
        return None
    try:
        return Path(find_checkpoint(checkpoint, 'teacher')).resolve()
    except FileNotFoundError:
        return None


def _add_teacher(sources: Sources) -> None:
    """Add the teacher that the runs use, if none of them is one and its checkpoint exists."""
    if any(run.is_teacher for run in sources.runs):
        return
    for run in sources.runs:
        checkpoint = teacher_checkpoint(run.cfg)
        if checkpoint is None:
            continue
        teacher = run.cfg.model.teacher
        cfg = Config(run.cfg.to_dict())
        for key in ('schedule', 'prelude'):
            cfg.pop(key, None)
        if isinstance(teacher.get('cfg'), str):
            network = read_config(teacher.cfg)
            network.merge_from_dict(dict(teacher.get('options') or {}))
            cfg.model = dict(type=run.cfg.model.type, student=dict(cfg=network))
        else:
            cfg.model = {key: value for key, value in teacher.items() if key not in ('checkpoint', 'mode')}
        sources.runs.append(ReportRun('teacher', None, cfg, None, checkpoint, is_teacher=True))
        return
