"""The lock of a work directory."""

import logging
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.logging import print_log

from skd_mm.utils import from_main_process

# Workers of a data loader hold the lock of a killed process until they notice that it is gone.
_WAIT = 20.0
_locks: dict[Path, FileLock] = {}


def lock_work_dir(folder: str | Path) -> None:
    """Keep other runs out of a work directory until :func:`unlock_work_dir` is called or the process ends.

    Two runs in one directory would move and remove each other's checkpoints. In a distributed run all processes must
    call it. A file system without locks is used without one, with a warning.

    Args:
        folder: The work directory.

    Raises:
        RuntimeError: Another process has a run in it.
    """
    from_main_process(lambda: _lock(Path(folder).resolve()))


def unlock_work_dir(folder: str | Path) -> None:
    """Let other runs use a work directory."""
    lock = _locks.pop(Path(folder).resolve(), None)
    if lock is not None:
        lock.release(force=True)


def _lock(folder: Path) -> None:
    if folder in _locks:  # by a run of this process that ended with an error
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / '.lock')
    try:
        lock.acquire(timeout=_WAIT)
    except Timeout:
        raise RuntimeError(f'another run is using the work directory {folder}: wait for its end, or choose another '
                           'one with --work-dir') from None
    except (OSError, NotImplementedError) as error:
        print_log(f'the work directory {folder} cannot be locked ({error}): no other run may use it at the same time',
                  'current', logging.WARNING)
        return
    _locks[folder] = lock
