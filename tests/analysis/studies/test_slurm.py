"""``sbatch`` and ``squeue`` are stubs: jobs run in the background of this machine."""

import os
import stat
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from skd_mm.analysis.studies import StudyError, slurm
from skd_mm.analysis.studies.execution import StoppedError, TaskError
from skd_mm.analysis.studies.plan import Plan
from skd_mm.analysis.studies.records import Record
from skd_mm.analysis.studies.slurm import SlurmExecutor

SBATCH = """#!/usr/bin/env bash
[ "$1" = --version ] && exit 0
[ -e {folder}/refuse ] && {{ echo "Invalid partition" >&2; exit 1; }}
echo "$@" >> {folder}/submitted
script="${{@: -1}}"
bash "$script" > {folder}/job.log 2>&1 &
echo "$!;cluster"
"""
# A job that has ended is unknown.
SQUEUE = """#!/usr/bin/env bash
[ "$1" = --version ] && exit 0
[ -e {folder}/busy ] && {{ echo "Unable to contact slurm controller" >&2; rm {folder}/busy; exit 1; }}
kill -0 "$3" 2> /dev/null && {{ echo RUNNING; exit; }}
echo "slurm_load_jobs error: Invalid job id specified" >&2
exit 1
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in (('sbatch', SBATCH), ('squeue', SQUEUE)):
        (folder / name).write_text(text.format(folder=folder))
        (folder / name).chmod((folder / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
    return folder


@pytest.fixture
def plan(tmp_path, task):
    study = SimpleNamespace(name='my study', split='test', metric='score')
    return Plan(study, tmp_path / 'study', [task('runs/a')])


@pytest.fixture
def executor(cluster, plan, monkeypatch):
    executor = SlurmExecutor(plan, 'gpus', interval=0.1)
    # Instead of Python with torch: a job that writes the record of a run that is done.
    monkeypatch.setattr(slurm.sys, 'executable', str(cluster / 'job'))
    write_job(cluster, '{"digest": "d", "status": "done", "tests": {"best": {"report": "r"}, "last": {"report": "r"}}}')
    return executor


def write_job(cluster, record, seconds=0):
    (cluster / 'job').write_text(f'#!/usr/bin/env bash\necho "$@" >> {cluster}/jobs\nsleep {seconds}\n'
                                 f"echo '{record}' > \"$4/record.json\"\n")
    (cluster / 'job').chmod(0o755)


def lines(file):
    return file.read_text().splitlines()


def test_a_task_is_a_job(executor, plan, cluster, monkeypatch):
    monkeypatch.setenv('GPUS', '2')
    monkeypatch.setenv('SBATCH_ARGS', '--time=10:00 --account="my account"')
    executor.carry_out(plan.tasks[0])
    folder = plan.folder / 'runs/a'
    script = lines(folder / 'job.sh')
    assert script[:1] == ['#!/usr/bin/env bash']
    assert {'#SBATCH --job-name=my-study-runs-a-seed-0', '#SBATCH --partition=gpus', '#SBATCH --gres=gpu:2',
            f'#SBATCH --output={folder}/slurm-%j.log', '#SBATCH --cpus-per-task=5', '#SBATCH --time=10:00',
            '#SBATCH --account=my account'} <= set(script)
    assert lines(cluster / 'submitted') == [f'--parsable {folder}/job.sh']
    assert lines(cluster / 'jobs') == [f'-u -m skd_mm.analysis.studies.execution {folder}']
    assert (folder / 'task.json').is_file() and not (folder / slurm.JOB).exists()
    subprocess.run(['bash', '-n', str(folder / 'job.sh')], check=True)


def test_no_gpus(executor, plan, monkeypatch):
    monkeypatch.setenv('GPUS', '0')
    assert '--gres' not in executor.script(plan.tasks[0], plan.folder)


def test_a_job_that_fails(executor, plan, cluster):
    write_job(cluster, '{"digest": "d", "status": "failed", "error": "out of memory"}')
    with pytest.raises(TaskError, match=r'^out of memory \(.*slurm-\d+.log\)'):
        executor.carry_out(plan.tasks[0])


def test_a_job_that_vanishes(executor, plan, cluster):
    write_job(cluster, '')
    with pytest.raises(TaskError, match=r'^job \d+ ended before it was done'):
        executor.carry_out(plan.tasks[0])


def test_a_job_that_is_refused(executor, plan, cluster):
    (cluster / 'refuse').touch()
    with pytest.raises(TaskError, match=r'sbatch refused .*job.sh: Invalid partition'):
        executor.carry_out(plan.tasks[0])


def test_a_study_that_is_started_again_waits_for_its_jobs(executor, plan, cluster):
    done = (cluster / 'job').read_text()
    write_job(cluster, '{"digest": "d", "status": "started"}', seconds=1)
    (cluster / 'job').write_text((cluster / 'job').read_text() + done.splitlines()[-1] + '\n')
    errors = []

    def work():
        try:
            executor.carry_out(plan.tasks[0])
        except StoppedError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not (plan.folder / 'runs/a' / slurm.JOB).is_file():
        time.sleep(0.02)
    executor.stop()
    thread.join(10)
    assert len(errors) == 1
    SlurmExecutor(plan, 'gpus', interval=0.1).carry_out(plan.tasks[0])
    assert len(lines(cluster / 'submitted')) == 1
    assert Record(plan.folder / 'runs/a')['status'] == 'done'


def test_a_job_of_the_past_is_submitted_again(executor, plan, cluster):
    folder = plan.folder / 'runs/a'
    folder.mkdir(parents=True)
    (folder / slurm.JOB).write_text('999999999\n')
    executor.carry_out(plan.tasks[0])
    assert len(lines(cluster / 'submitted')) == 1


def test_a_controller_that_does_not_answer_ends_nothing(cluster):
    (cluster / 'busy').touch()
    assert slurm.is_queued('999999999') and not slurm.is_queued('999999999')


def test_slurm_that_is_not_there(plan, monkeypatch):
    monkeypatch.setenv('PATH', '/nowhere')
    with pytest.raises(StudyError, match="--slurm gpus: 'sbatch' does not work here"):
        SlurmExecutor(plan, 'gpus')
