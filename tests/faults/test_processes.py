"""A process or a host that is lost: the job ends in bounded time, or starts again and ends in the same weights."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import config, differing, last_checkpoint

pytestmark = pytest.mark.slow
SCHEDULE = dict(type='Stagewise', phase_iters=4, val_interval=2)


def free_port():
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return str(one.getsockname()[1])


def environment(repo, **more):
    kept = {key: value for key, value in os.environ.items()
            if key not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK') and not key.startswith('TORCHELASTIC')}
    path = f'{Path(sys.executable).parent}{os.pathsep}{kept["PATH"]}'
    return dict(kept, PYTHONPATH=str(repo), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PATH=path, PORT=free_port(),
                **more)


@pytest.fixture(scope='module')
def start(tmp_path_factory, repo):
    """Starts a run of two processes, on one host or on two; gives its work directory and the starters' processes."""

    def call(name, hosts=1, timeout=60, **hook):
        folder = tmp_path_factory.mktemp(name)
        cfg = config(folder / 'run', {'train_dataloader.batch_size': 2}, schedule=SCHEDULE,
                     custom_imports=dict(imports=['tests.helpers']),
                     env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=timeout)),
                     custom_hooks=[dict(type='mmengine.SystemKillHook', **hook)] if hook else [])
        cfg.dump(str(folder / 'toy.py'))
        restarts = dict(MAX_RESTARTS='1') if 'marker' in hook else {}
        shared = environment(repo, NNODES=str(hosts), **restarts)
        jobs = []
        for host in range(hosts):
            log = folder / f'host{host}.log'
            with open(log, 'w') as file:
                job = subprocess.Popen(
                    ['bash', 'tools/dist_train.sh', str(folder / 'toy.py'), str(2 // hosts), '--work-dir',
                     str(folder / 'run')], cwd=repo, env=dict(shared, NODE_RANK=str(host)), stdout=file,
                    stderr=subprocess.STDOUT, start_new_session=True)
            job.log = log
            jobs.append(job)
        return folder / 'run', jobs

    return call


def ends(jobs, seconds, patience=None):
    """What each of them gives back and says; the test fails if one does not end.

    With ``patience``, seconds, one has to end; what has not that much later gives back None. (At its end torchrun may
    wait for another host, which is gone already, for five minutes.)
    """
    end = time.monotonic() + seconds
    try:
        while any(job.poll() is None for job in jobs):
            if patience is not None and any(job.poll() is not None for job in jobs):
                end, patience = min(end, time.monotonic() + patience), None
                seconds = None
            if time.monotonic() > end:
                break
            time.sleep(0.2)
        codes = [job.poll() for job in jobs]
    finally:
        for job in jobs:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
            job.wait()
    said = [job.log.read_text() for job in jobs]
    if None in codes and seconds is not None:
        pytest.fail(f'did not end in {seconds} seconds:\n{said[codes.index(None)][-3000:]}')
    return list(zip(codes, said, strict=True))


@pytest.fixture(scope='module')
def whole(start):
    """The last checkpoint of a run of two processes that is left alone."""
    folder, jobs = start('whole')
    (code, said), = ends(jobs, 300)
    assert code == 0, said[-3000:]
    return last_checkpoint(folder)


def assert_same(one, other):
    assert not differing(dict(one['state_dict']), dict(other['state_dict']))
    assert one['best'] == other['best'] and one['schedule'] == other['schedule']


@pytest.fixture(scope='module')
def still(start):
    """A job of which one process stands still; it does nothing but wait, so that other tests run meanwhile."""
    _, jobs = start('still', timeout=10, event='before_train_iter', at=7, rank=1, signal=int(signal.SIGSTOP))
    yield jobs
    for job in jobs:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGKILL)


def test_a_process_that_is_lost_ends_the_job(start, still):
    folder, jobs = start('lost', event='before_train_iter', at=7, rank=0)
    (code, said), = ends(jobs, 120)
    assert code not in (0, None) and 'local_rank: 0' in said and 'Signal 9 (SIGKILL)' in said
    assert last_checkpoint(folder)['meta']['iter'] in (4, 6)


def test_a_job_that_torchrun_starts_again_goes_on_and_ends_in_the_same_weights(start, whole, tmp_path):
    folder, jobs = start('again', event='before_train_iter', at=7, rank=1, marker=str(tmp_path / 'killed'))
    (code, said), = ends(jobs, 300)
    assert code == 0, said[-3000:]
    assert (tmp_path / 'killed').exists()
    log = ''.join(path.read_text() for path in sorted(folder.glob('*/*.log')))
    assert last_checkpoint(folder)['meta']['iter'] == 16
    assert len(list(folder.glob('2*'))) == 2, log  # two starts, and two logs
    assert_same(whole, last_checkpoint(folder))


def test_two_hosts_end_in_the_weights_of_one(start, whole):
    folder, jobs = start('hosts', hosts=2)
    for code, said in ends(jobs, 300, patience=20):
        assert code in (0, None), said[-3000:]
    assert_same(whole, last_checkpoint(folder))


def test_a_process_that_stands_still_ends_the_job_when_the_time_is_up(still):
    (code, said), = ends(still, 180)
    assert code not in (0, None) and ('imed out' in said or 'imeout' in said), said[-3000:]
