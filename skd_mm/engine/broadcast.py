"""Giving all processes the state of rank 0."""

from collections.abc import Iterable

import torch.distributed as torch_dist
from mmengine.dist import is_distributed
from torch import Tensor, nn


def broadcast_buffers(model: nn.Module) -> None:
    """Broadcast all buffers of a model from rank 0; does nothing on a single process."""
    _broadcast(model.buffers())


def broadcast_state(model: nn.Module) -> None:
    """Broadcast all parameters and buffers of a model from rank 0; does nothing on a single process."""
    _broadcast(model.parameters())
    _broadcast(model.buffers())


def _broadcast(tensors: Iterable[Tensor]) -> None:
    if is_distributed():
        for tensor in tensors:
            torch_dist.broadcast(tensor.detach(), 0)
