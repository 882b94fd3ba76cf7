"""Steps that run out of memory while the cache has some."""

import gc
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from mmengine.logging import print_log
from torch import nn

T = TypeVar('T')


class Releasable(Protocol):
    """Anything that gives memory back, such as a :class:`FeatureCache`."""

    def release(self, share: float = 1.0) -> int:
        """Give a share of the memory back and return the bytes."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ended, on any device.

    Args:
        error: The error.
    """
    # The CPU's allocator has no error class of its own.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def retry_after_release(step: Callable[[], T], cache: Releasable | None, restore: Callable[[], None] | None = None,
                        share: float = 0.5) -> T:
    """Run a step; if memory ends in it, give memory of the cache back and run it once more.

    With several processes the step must not contain a collective operation, since the other processes do not repeat
    theirs: it may be the forward pass of a data-parallel model, and not the backward pass.

    Args:
        step: The step. It must do the same in a second call after ``restore``, and is expected to seed whatever it
            draws.
        cache: Where memory may come from; None runs the step once.
        restore: Undoes what the first call has changed, see :func:`restorer`. Defaults to None.
        share: Share of the cache's memory to give back, in (0, 1]. Defaults to 0.5.

    Returns:
        What the step returned.

    Raises:
        RuntimeError: The step failed for another reason, or again.
    """
    try:
        return step()
    except (MemoryError, RuntimeError) as error:
        if cache is None or not is_out_of_memory(error) or not cache.release(share):
            raise
        print_log(f'memory ended in a training step ({str(error).splitlines()[0] if str(error) else "MemoryError"}): '
                  'the step is repeated with less in the feature cache', logger='current', level=logging.WARNING)
    # Not before the handler has ended: the traceback refers to the tensors of the step.
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if restore is not None:
        restore()
    return step()


# Numbers in a buffer that is copied before each step. Statistics are smaller; banks of samples are larger, and change
# after the backward pass.
_LARGEST_BUFFER = 2**16


def restorer(model: nn.Module) -> Callable[[], None]:
    """Record what a training step changes before its optimizer does.

    Args:
        model: The model: gradients of its trainable parameters, and the small buffers of its modules in training mode,
            such as the statistics of BN, are recorded.

    Returns:
        A function that restores them.
    """
    gradients = [(parameter, None if parameter.grad is None else parameter.grad.clone())
                 for parameter in model.parameters() if parameter.requires_grad]
    buffers = []
    for module in model.modules():
        if module.training:
            buffers += [(buffer, buffer.clone()) for buffer in module.buffers(recurse=False)
                        if buffer.numel() <= _LARGEST_BUFFER]

    def restore() -> None:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for parameter, gradient in gradients:
            parameter.grad = gradient

    return restore
