"""Groups of processes."""

import gc

import torch


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
