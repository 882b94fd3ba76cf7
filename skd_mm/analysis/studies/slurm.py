"""Running the tasks of a plan as Slurm jobs."""

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

from .execution import StoppedError, TaskError, tools_folder
from .plan import Plan, Task
from .records import Record, is_done, write_task
from .study import StudyError, slug

JOB = 'slurm_job'
_PATIENCE = 3


class SlurmExecutor:
    """Executor of tasks as Slurm jobs, one per task.

    A job trains and tests in the task's folder, which the machine that this runs on must see. Jobs outlive this
    process: a study that is started again waits for a job that is still queued or running instead of submitting it
    twice. The environment variables ``GPUS`` (1), ``CPUS_PER_TASK`` (5) and ``SBATCH_ARGS`` set what a job asks for.

    Args:
        plan: The plan.
        partition: The partition.
        interval: Seconds between two queries of a job's state.

    Raises:
        StudyError: ``sbatch`` or ``squeue`` is not installed.
    """

    def __init__(self, plan: Plan, partition: str, interval: float = 30.0) -> None:
        self.plan = plan
        self.partition = partition
        self.interval = interval
        self.stopping = threading.Event()
        for program in ('sbatch', 'squeue'):
            try:
                subprocess.run([program, '--version'], capture_output=True, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise StudyError(f'--slurm {partition}: {program!r} does not work here: {error}') from error

    def carry_out(self, task: Task) -> None:
        """Submit a task unless its job is still there, and wait for the end of the job."""
        folder = self.plan.folder / task.folder
        known = folder / JOB
        job = known.read_text().strip() if known.is_file() else None
        if job is None or not is_queued(job):
            job = self.submit(task, folder)
            known.write_text(f'{job}\n')
        while is_queued(job):
            if self.stopping.wait(self.interval):
                raise StoppedError(f'job {job} goes on')
        known.unlink(missing_ok=True)
        for _ in range(_PATIENCE):
            if is_done(self.plan.folder, task):
                return
            self.stopping.wait(min(self.interval, 2.0))  # network file systems show files late
        error = Record(folder).get('error') or f'job {job} ended before it was done'
        raise TaskError(f'{error} ({folder}/slurm-{job}.log)')

    def stop(self) -> None:
        """Stop waiting; jobs go on."""
        self.stopping.set()

    def submit(self, task: Task, folder: Path) -> str:
        """Submit a job.

        Args:
            task: The task.
            folder: Its folder.

        Returns:
            The id of the job.

        Raises:
            TaskError: Slurm refused it.
        """
        write_task(self.plan, task)
        script = folder / 'job.sh'
        script.write_text(self.script(task, folder))
        found = subprocess.run(['sbatch', '--parsable', str(script)], text=True, capture_output=True, check=False)
        if found.returncode:
            raise TaskError(f'sbatch refused {script}: {found.stderr.strip() or found.stdout.strip()}')
        return found.stdout.strip().partition(';')[0]

    def script(self, task: Task, folder: Path) -> str:
        """Return the script of a job."""
        folder = folder.resolve()
        gpus = os.environ.get('GPUS', '1')
        options = [f'--job-name={slug(f"{self.plan.study.name}-{task.title}")}', f'--partition={self.partition}',
                   f'--output={folder}/slurm-%j.log', '--open-mode=append', '--nodes=1', '--ntasks=1',
                   f'--cpus-per-task={os.environ.get("CPUS_PER_TASK", "5")}']
        if gpus != '0':
            options.append(f'--gres=gpu:{gpus}')
        options += shlex.split(os.environ.get('SBATCH_ARGS', ''))
        command = [sys.executable, '-u', '-m', 'skd_mm.analysis.studies.execution', str(folder)]
        return '\n'.join([
            '#!/usr/bin/env bash', *(f'#SBATCH {option}' for option in options), '',
            f'cd {shlex.quote(os.getcwd())}',
            f'export PYTHONPATH={shlex.quote(str(tools_folder().parent))}:${{PYTHONPATH:-}}',
            shlex.join(command), ''])


def is_queued(job: str) -> bool:
    """Return whether a job is waiting or running."""
    found = subprocess.run(['squeue', '--noheader', '--jobs', job, '--format', '%T'], text=True, capture_output=True,
                           check=False)
    # Slurm forgets jobs some minutes after their end, and then calls their ids invalid.
    if found.returncode:  # any other error means that the controller does not answer at the moment
        return 'invalid job id' not in found.stderr.lower()
    return bool(found.stdout.strip())
