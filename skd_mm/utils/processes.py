"""Groups of processes."""

import gc

import torch
import torch.distributed as torch_dist
from mmengine.dist import get_world_size
from torch import Tensor


def gather_samples(part: Tensor) -> Tensor:
    """Collects what the processes have of their samples; no gradient is passed on.

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


def leave_group() -> None:
    """Ends the work with other processes; nothing in a process of its own.

    To be called when nothing refers to what was trained any more: a backend that something still holds when the
    interpreter ends is aborted there, and the whole job fails at its very end.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()
