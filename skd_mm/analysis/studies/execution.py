"""Carrying out one task of a study: training, resumed if it was interrupted, and the tests of what it gives."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from skd_mm.analysis.logs import read_run
from skd_mm.analysis.run_files import best_checkpoint, last_checkpoint, newest, same_weights
from skd_mm.utils import did_you_mean

from .records import Record

TRAIN = 'train'
_POLL, _SAVE, _PATIENCE = 0.2, 10.0, 30.0


class TaskError(RuntimeError):
    """A training or a test failed; the message ends with the last lines of its output."""


class StoppedError(RuntimeError):
    """The task was asked to stop; it can be resumed."""


def tools_folder() -> Path:
    """Return the folder with ``train.py`` and ``test.py``, of a checkout or of an installation."""
    package = Path(__file__).resolve().parents[2]
    return next(folder for folder in (package.parent / 'tools', package / '.mim' / 'tools') if folder.is_dir())


def carry_out(folder: Path, environment: Mapping[str, str] | None = None, stop: threading.Event | None = None) -> None:
    """Train and test what a task's folder describes.

    The folder is locked meanwhile. The training inherits the lock, so that it holds it even if this process is killed;
    a study that is started again then waits for it.

    Args:
        folder: The task's folder, see :func:`~skd_mm.analysis.studies.records.write_task`.
        environment: Variables for the processes, in addition to those of this one.
        stop: Set to end the training early.

    Raises:
        TaskError: The training or a test failed.
        StoppedError: ``stop`` was set.
    """
    task = json.loads((folder / 'task.json').read_text())
    stop = stop or threading.Event()
    with _locked(folder / '.lock', stop) as lock:
        record = Record(folder)
        record.start(task['digest'])
        record.update(status='started', error=None)
        process = _Process(folder, dict(environment or {}), stop, lock)
        try:
            if not record['trained']:
                _train(folder, task, record, process)
            if task['kind'] != 'prelude':
                _test(folder, task, record, process)
        except TaskError as error:
            record.update(status='failed', error=str(error).splitlines()[0])
            raise
        record.update(status='done')


@contextmanager
def _locked(path: Path, stop: threading.Event) -> Iterator[int]:
    """Hold a lock that child processes inherit (filelock closes its file in them)."""
    with open(path, 'w') as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(1):
                    raise StoppedError('stopped') from None
        yield file.fileno()


def _train(folder: Path, task: Mapping[str, Any], record: Record, process: '_Process') -> None:
    work_dir = folder / TRAIN
    command = ['train.py', str(folder / 'config.py'), '--work-dir', str(work_dir)]
    if task['kind'] == 'prelude':
        command += ['--prelude-only']
    else:
        command += ['--seed', str(task['seed'])]
        if (work_dir / 'last_checkpoint').is_file():
            command += ['--resume']
    pieces = [*record['pieces']]

    def save(usage: dict[str, Any]) -> None:
        record.update(pieces=[*pieces, usage])

    process.call(command, 'train.log', save)
    memory = None
    if task['kind'] != 'prelude':
        memory = max((values['memory'] for line in read_run(work_dir).records if 'memory' in (values := line.values)),
                     default=None)
    record.update(trained=True, peak_gpu_memory_mib=memory)


def _test(folder: Path, task: Mapping[str, Any], record: Record, process: '_Process') -> None:
    """Test the best and the last checkpoint, each unless it has been tested."""
    checkpoints = dict(best=best_checkpoint(folder / TRAIN), last=last_checkpoint(folder / TRAIN))
    for which, checkpoint in checkpoints.items():
        if record['tests'].get(which, {}).get('report') == task['report']:
            continue
        if which == 'last' and same_weights(*checkpoints.values()):
            record.update(tests={**record['tests'], 'last': record['tests']['best']})
            continue
        out = folder / f'test_{which}'
        shutil.rmtree(out, ignore_errors=True)
        process.call(['test.py', str(folder / 'config.py'), str(checkpoint), '--work-dir', str(out), '--split',
                      task['split'], '--per-class'], f'{out.name}.log')
        values = json.loads(newest(out, '*/*.json').read_text())
        per_class = {key: value for key, value in values.items() if isinstance(value, dict)}
        metrics = {key: round(value, 4) for key, value in values.items()
                   if isinstance(value, int | float) and key not in ('time', 'data_time')}
        if task['metric'] not in metrics:
            raise TaskError(f'study.metric={task["metric"]!r} is not among the metrics of the test, {list(metrics)}'
                            f'{did_you_mean(task["metric"], metrics)}')
        tests = {which: dict(report=task['report'], metrics=metrics, per_class=per_class)}
        record.update(tests={**record['tests'], **tests})


class _Process:
    """Runner of tools in the folder of a task.

    Args:
        folder: The folder; output goes to files in it.
        environment: Variables in addition to those of this process.
        stop: Set to terminate the process.
        lock: File descriptor of the lock that processes inherit.
    """

    def __init__(self, folder: Path, environment: dict[str, str], stop: threading.Event, lock: int) -> None:
        self.folder = folder
        self.stop = stop
        self.lock = lock
        paths = [str(tools_folder().parent), *filter(None, [os.environ.get('PYTHONPATH')])]
        self.environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), PYTHONUNBUFFERED='1', MPLBACKEND='Agg')
        self.environment.setdefault('OMP_NUM_THREADS', '1')
        self.environment.update(environment)

    def call(self, command: Sequence[str], log: str, save: Any = lambda usage: None) -> None:
        """Run a tool.

        Args:
            command: Its file name and its arguments.
            log: File for its output; it is appended to.
            save: Called with the resources that the process has used, now and then and at its end.

        Raises:
            TaskError: It failed.
            StoppedError: It was terminated.
        """
        if self.stop.is_set():
            raise StoppedError('stopped')
        with open(self.folder / log, 'a') as file:
            child = subprocess.Popen([sys.executable, str(tools_folder() / command[0]), *command[1:]],
                                     env=self.environment, stdin=subprocess.DEVNULL, stdout=file,
                                     stderr=subprocess.STDOUT, pass_fds=[self.lock])
            code = self._wait(child, save)
        # Ctrl-C reaches the tool as well, and maybe first.
        if code and (self.stop.is_set() or code == -signal.SIGINT):
            raise StoppedError('stopped')
        if code:
            lines = (self.folder / log).read_text(errors='replace').splitlines()[-20:]
            reason = next((line for line in reversed(lines) if line.strip()), f'exit code {code}')
            raise TaskError('\n'.join([f'{reason.strip()} (exit code {code}; {self.folder / log})', *lines]))

    def _wait(self, child: subprocess.Popen, save: Any) -> int:
        """Wait for a process, and measure it."""
        start, saved, terminated = time.monotonic(), 0.0, None
        gpu = torch.cuda.is_available()
        save(dict(seconds=0.0, cpu_seconds=0.0, peak_memory_mib=0, gpu=gpu))
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            seconds = time.monotonic() - start
            if pid:
                break
            if self.stop.is_set() and terminated is None:
                child.terminate()
                terminated = seconds
            elif terminated is not None and seconds - terminated > _PATIENCE:
                child.kill()
            if seconds - saved > _SAVE:
                saved = seconds
                save(dict(seconds=seconds, **_usage_of(child.pid), gpu=gpu))
            time.sleep(_POLL)
        child.returncode = os.waitstatus_to_exitcode(status)
        save(dict(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime,
                  peak_memory_mib=usage.ru_maxrss // 1024, gpu=gpu))
        return child.returncode


def _usage_of(pid: int) -> dict[str, Any]:
    """CPU seconds and peak memory of a running process, without the processes that it runs."""
    try:
        numbers = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        status = Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return dict(cpu_seconds=0.0, peak_memory_mib=0)
    ticks = sum(int(number) for number in numbers[11:15])
    peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith('VmHWM')), 0)
    return dict(cpu_seconds=ticks / os.sysconf('SC_CLK_TCK'), peak_memory_mib=peak // 1024)


def main() -> None:
    """Carry out the task in the folder that the command line names; a Slurm job does this."""
    try:
        carry_out(Path(sys.argv[1]))
    except TaskError as error:
        raise SystemExit(str(error)) from None


if __name__ == '__main__':
    main()
