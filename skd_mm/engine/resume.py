"""Which checkpoint a run that is resumed goes on from, and which it must never take for its own."""

import difflib
import itertools
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.dist import barrier, get_world_size, is_main_process
from mmengine.logging import print_log

from skd_mm.checkpoint import CheckpointError, read_checkpoint
from skd_mm.utils import from_main_process

_NAME = re.compile(r'^(iter|epoch)_(\d+)\.pth$')
# What of a config says where a run is, and not what it does.
LOCATIONS = ('work_dir', 'experiment_name', 'resume', 'load_from', 'launcher')
_KEYS = ('meta', 'state_dict', 'message_hub', 'optimizer')


def choose_checkpoint(runner: Any, keys: tuple[str, ...] = ()) -> None:
    """Lets a Runner that resumes go on from the newest checkpoint of its work directory that can be used.

    Nothing is done where the user has named a file with ``load_from``. The first process chooses, the others are told.

    Args:
        runner: The Runner, before it loads anything.
        keys: What must be in the checkpoint beside what every Runner writes.

    Raises:
        CheckpointError: There are checkpoints, and none of them can be used; the message says why, one by one.
    """
    if not runner._resume or runner._load_from is not None:
        return
    runner._load_from = from_main_process(lambda: find_resumable(runner.work_dir, keys))
    if runner._load_from is None:
        runner._resume = False
        runner.logger.warning(f'there is no checkpoint to resume from in {runner.work_dir}: the run starts from its '
                              'beginning')


def archive_previous_run(runner: Any) -> None:
    """Moves what an earlier run has left in the work directory of a run that begins anew.

    Were it left there, a run that is killed before its first checkpoint, or whose last one is damaged, would go on from
    another run's. The folder ``earlier_<n>`` has the same files as before, and is a work directory to resume in.

    Args:
        runner: The Runner, when it has loaded what it begins with.
    """
    if is_main_process():
        folder = Path(runner.work_dir)
        files = [path for path in folder.glob('*.pth') if _NAME.match(path.name)]
        pointer = folder / 'last_checkpoint'
        if files or pointer.is_file():
            earlier = next(path for n in itertools.count(1) if not (path := folder / f'earlier_{n}').exists())
            earlier.mkdir()
            for path in [*files, *folder.glob('best_*.pth'), *([pointer] if pointer.is_file() else [])]:
                path.rename(earlier / path.name)
            runner.logger.warning(f'{folder} has the checkpoints of an earlier run. This one begins anew, and they are '
                                  f'in {earlier} now; to go on with that run: --resume --work-dir {earlier}')
    barrier()


def check_batch_size(processes: int, batch_size: int, size: int) -> None:
    """Refuses to resume with another global batch size, where iterations would have other samples.

    Args:
        processes: How many processes wrote the checkpoint.
        batch_size: Samples per process and iteration, then.
        size: Samples per process and iteration, now.

    Raises:
        ValueError: The number of samples per iteration is another one.
    """
    now, samples = get_world_size(), processes * batch_size
    if now * size != samples:
        way = 'on as many processes'
        if samples % now == 0:
            way = f'with `train_dataloader.batch_size={samples // now}`'
        raise ValueError(f'the run to resume has {processes} × {batch_size} samples per iteration (processes × '
                         f'train_dataloader.batch_size), this one {now} × {size}: resume {way}, or start from its '
                         'weights with `load_from`')
    if now != processes:
        print_log(f'the run was started on {processes} processes and is resumed on {now}: it trains on the same '
                  'batches, but draws other random numbers (dropout, gates)', 'current', logging.WARNING)


def config_changes(before: str, now: str) -> list[str]:
    """In what a config is not the one that a checkpoint was written with.

    Args:
        before: The text in the checkpoint. It is compared and never run.
        now: The text of the config.

    Returns:
        The lines that differ, ``-`` before those that were and ``+`` before those that are; where a run lies
        (``work_dir`` …) is left out.
    """
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), n=0, lineterm='')
    return [line for line in itertools.islice(lines, 2, None)
            if line[0] in '+-' and line[1:].partition(' = ')[0] not in LOCATIONS]


def find_resumable(folder: str | os.PathLike, keys: tuple[str, ...] = ()) -> str | None:
    """The newest checkpoint in a folder that is whole and can be resumed from.

    ``last_checkpoint`` says which is the newest; where that file is damaged or foreign the one before it is taken, and
    so on, with a warning that says so.

    Args:
        folder: The work directory.
        keys: What must be in the checkpoint beside what every Runner writes.

    Returns:
        Its path; None where there is no checkpoint at all.

    Raises:
        CheckpointError: There are checkpoints, and none of them can be used; the message says why, one by one.
    """
    faults: list[str] = []
    for path in _candidates(Path(folder)):
        fault = _fault(path, keys)
        if fault is None:
            for line in faults:
                print_log(f'{line}; resuming from {path.name}, the one before it', 'current', logging.WARNING)
            return str(path)
        faults.append(fault)
    if faults:
        raise CheckpointError(f'no checkpoint in {folder} can be resumed from: ' + '; '.join(faults)
                              + '. To begin anew, leave --resume out')
    return None


def _candidates(folder: Path) -> Iterator[Path]:
    """The one that was written last, and the others from the newest to the oldest."""
    pointer, last = folder / 'last_checkpoint', None
    if pointer.is_file():
        # The folder may have been moved; what is damaged need not be text.
        named = Path(pointer.read_text(errors='replace').strip())
        last = next((path for path in (folder / named.name, named) if named.name and _is_file(path)), None)
        if last is None:
            print_log(f'{pointer} names {str(named)[:200]!r}, which is not there', 'current', logging.WARNING)
    if last is not None:
        yield last
    files = [(int(match[2]), path) for path in folder.glob('*.pth') if (match := _NAME.match(path.name))]
    of_last = _NAME.match(last.name) if last is not None else None
    for number, path in sorted(files, reverse=True):
        # What is behind the newest is of an earlier run that had this folder.
        if of_last is None or number < int(of_last[2]):
            yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file may have
        return False


def _fault(path: Path, keys: tuple[str, ...]) -> str | None:
    """What is wrong with a file, or None."""
    try:
        checkpoint = read_checkpoint(path, 'cpu')
    except (CheckpointError, OSError) as error:
        return str(error)
    missing = [key for key in _KEYS if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        return f'{path} was not written by a training run to be resumed: it has no {missing}'
    if any(key not in checkpoint for key in keys):
        return (f'{path} was not written by a schedule; to start from its weights, give it as `load_from` without '
                '--resume')
    return None
