"""Selecting the checkpoint to resume from, and keeping it apart from those of earlier runs."""

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
# Config keys that describe where a run is, and not what it does.
LOCATIONS = ('work_dir', 'experiment_name', 'resume', 'load_from', 'launcher')
_KEYS = ('meta', 'state_dict', 'message_hub', 'optimizer')


def choose_checkpoint(runner: Any, keys: tuple[str, ...] = ()) -> None:
    """Let a Runner resume from the newest usable checkpoint in its work directory.

    This does nothing if the user has named a file with ``load_from``. Rank 0 selects the file for all processes.

    Args:
        runner: The Runner, before it loads anything.
        keys: Keys that the checkpoint must have in addition to those that every Runner writes.

    Raises:
        CheckpointError: There are checkpoints, but none is usable; the message gives the reason for each.
    """
    if not runner._resume or runner._load_from is not None:
        return
    runner._load_from = from_main_process(lambda: find_resumable(runner.work_dir, keys))
    if runner._load_from is None:
        runner._resume = False
        runner.logger.warning(f'there is no checkpoint to resume from in {runner.work_dir}: the run starts from its '
                              'beginning')


def archive_previous_run(runner: Any) -> None:
    """Move the checkpoints of an earlier run out of the work directory of a new run.

    Otherwise, a run that is killed before its first checkpoint, or whose last one is damaged, would resume from another
    run's checkpoint. The folder ``earlier_<n>`` has the same files as before, and the earlier run can be resumed in it.

    Args:
        runner: The Runner, after it has loaded its initial weights.
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
            runner.logger.warning(f'{folder} has the checkpoints of an earlier run. This run starts from scratch, '
                                  f'and they are now in {earlier}; to resume that run: --resume --work-dir {earlier}')
    barrier()


def check_batch_size(processes: int, batch_size: int, size: int) -> None:
    """Refuse to resume with another global batch size, because iterations would have other samples.

    Args:
        processes: Number of processes that wrote the checkpoint.
        batch_size: Samples per process and iteration in that run.
        size: Samples per process and iteration in this run.

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
    """Compare a config with the one that a checkpoint was written with.

    Args:
        before: The text in the checkpoint. It is compared and never executed.
        now: The text of the config.

    Returns:
        The lines that differ, with ``-`` before old lines and ``+`` before new ones, without the location of the run
        (``work_dir`` …).
    """
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), n=0, lineterm='')
    return [line for line in itertools.islice(lines, 2, None)
            if line[0] in '+-' and line[1:].partition(' = ')[0] not in LOCATIONS]


def find_resumable(folder: str | os.PathLike, keys: tuple[str, ...] = ()) -> str | None:
    """Return the newest complete checkpoint in a folder that can be resumed from.

    ``last_checkpoint`` names the newest one. Files that are damaged or not from this kind of run are skipped with a
    warning, and the next older one is used.

    Args:
        folder: The work directory.
        keys: Keys that the checkpoint must have in addition to those that every Runner writes.

    Returns:
        Its path; None if there is no checkpoint at all.

    Raises:
        CheckpointError: There are checkpoints, but none is usable; the message gives the reason for each.
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
                              + '. To start from scratch, omit --resume')
    return None


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield the checkpoint that was written last, and then the others from the newest to the oldest."""
    pointer, last = folder / 'last_checkpoint', None
    if pointer.is_file():
        # The folder may have been moved; a damaged file need not be text.
        named = Path(pointer.read_text(errors='replace').strip())
        last = next((path for path in (folder / named.name, named) if named.name and _is_file(path)), None)
        if last is None:
            print_log(f'{pointer} names {str(named)[:200]!r}, which is not there', 'current', logging.WARNING)
    if last is not None:
        yield last
    files = [(int(match[2]), path) for path in folder.glob('*.pth') if (match := _NAME.match(path.name))]
    of_last = _NAME.match(last.name) if last is not None else None
    for number, path in sorted(files, reverse=True):
        # Files with higher numbers are of an earlier run that had this folder.
        if of_last is None or number < int(of_last[2]):
            yield path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not a valid file name
        return False


def _fault(path: Path, keys: tuple[str, ...]) -> str | None:
    """Return why a file cannot be resumed from, or None."""
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
