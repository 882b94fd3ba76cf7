"""The memory of single steps."""

from collections.abc import Callable
from typing import Any

import torch


def peak_memory(step: Callable[..., None], *args: Any) -> float:
    """Return the most memory that a step allocates at once, in MiB.

    Args:
        step: The step, which is run once.
        *args: Its arguments.

    Returns:
        The peak of PyTorch's allocator above its state before the step: gradients, optimizer state and activations,
        but not the models.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(*args)
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(*args)
    assert profiler.profiler is not None
    events = [(event.start_ns(), event.nbytes()) for event in profiler.profiler.kineto_results.events()
              if event.name() == '[memory]']
    held = peak = 0
    for _, size in sorted(events):
        held += size
        peak = max(peak, held)
    return peak / 2**20
