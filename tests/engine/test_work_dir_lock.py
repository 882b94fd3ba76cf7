"""One run at a time uses a work directory."""

import subprocess
import sys

import pytest
from filelock import FileLock

from skd_mm.engine.work_dir_lock import lock_work_dir, unlock_work_dir
from tests.helpers import config, train, train_killed

HOLD = """
from filelock import FileLock
import sys
lock = FileLock(sys.argv[1])
lock.acquire()
print('held', flush=True)
input()
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Another process that holds the lock."""
    monkeypatch.setattr('skd_mm.engine.work_dir_lock._WAIT', 0.1)
    process = subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path / '.lock')], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'held\n'
    yield process
    process.kill()
    process.wait()


def test_a_second_run_does_not_start_and_moves_nothing(tmp_path, other):
    (tmp_path / 'iter_3.pth').write_text('of the other run')
    with pytest.raises(RuntimeError, match=r'another run is using the work directory .*--work-dir'):
        train(config(tmp_path))
    assert (tmp_path / 'iter_3.pth').read_text() == 'of the other run' and not list(tmp_path.glob('earlier_*'))
    other.kill()
    other.wait()
    lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)


def test_the_lock_ends_with_the_run(tmp_path):
    held = []

    def is_held():
        lock = FileLock(tmp_path / '.lock')
        try:
            lock.acquire(blocking=False)
        except TimeoutError:
            return True
        lock.release()
        return False

    from mmengine.hooks import Hook
    from mmengine.registry import HOOKS

    @HOOKS.register_module(name='ToyLook', force=True)
    class ToyLook(Hook):

        def before_phase(self, runner):
            held.append(is_held())

    train(config(tmp_path, custom_hooks=[dict(type='ToyLook')]))
    assert held == [True] * 4 and not is_held()


def test_a_run_of_this_process_that_was_killed_can_be_resumed(tmp_path):
    cfg = config(tmp_path)
    train_killed(cfg, 'before_train_iter', 8)
    train(cfg, resume=True)


def test_without_locks_the_run_goes_on_with_a_warning(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('skd_mm.engine.work_dir_lock.print_log', lambda line, *args: said.append(line))

    def acquire(self, **kwargs):
        raise OSError('no locks available')

    monkeypatch.setattr(FileLock, 'acquire', acquire)
    lock_work_dir(tmp_path)
    unlock_work_dir(tmp_path)
    assert 'cannot be locked (no locks available)' in said[0]
