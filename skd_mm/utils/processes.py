"""Groups of processes."""

import gc
import os
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as torch_dist
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from torch import Tensor

T = TypeVar('T')

# Where each launcher of MMEngine gives a process its number, among all and on its machine.
_RANKS = {
    'pytorch': ('RANK', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK')}


def launched_rank(launcher: str) -> int:
    """Return the rank of this process before a process group exists.

    Args:
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        The rank; 0 without a launcher.
    """
    return _number(launcher, 0)


def launched_local_rank(launcher: str) -> int:
    """Return the number of this process on its machine before a process group exists, as :func:`launched_rank`."""
    return _number(launcher, 1)


def _number(launcher: str, which: int) -> int:
    return int(os.environ.get(_RANKS[launcher][which]) or 0) if launcher in _RANKS else 0


def gather_samples(part: Tensor) -> Tensor:
    """Collect what the processes have of their samples; no gradient is passed on.

    Args:
        part: ``[B, ...]``, of the same shape in every process.

    Returns:
        ``[world size · B, ...]``, one process after the other; the tensor itself if there is one process.
    """
    world = get_world_size()
    if world == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(world)]
    torch_dist.all_gather(parts, part.contiguous())
    return torch.cat(parts)


def from_main_process(function: Callable[[], T]) -> T:
    """Call a function on rank 0 and returns its result on all processes.

    Args:
        function: Takes no arguments. Its result must be picklable.

    Returns:
        The result.

    Raises:
        Exception: What the function raises, on all processes: none of them waits for another one that has failed.
    """
    outcome: list[Any] = [None, None]
    if is_main_process():
        try:
            outcome[0] = function()
        except Exception as error:
            outcome[1] = _picklable(error)
    broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def _picklable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f'{type(error).__name__}: {error}')
    return error


def leave_group() -> None:
    """End the work with other processes; does nothing in a process of its own.

    To be called when nothing refers to the trained model any more: a backend that is still referred to when the
    interpreter ends is aborted there, and the whole job fails at its very end.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()
