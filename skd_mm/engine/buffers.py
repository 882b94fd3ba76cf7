"""Buffers of a model on several processes."""

import torch.distributed as torch_dist
from mmengine.dist import is_distributed
from torch import nn


def broadcast_buffers(model: nn.Module) -> None:
    """Broadcasts all buffers of a model from rank 0; does nothing on a single process."""
    if is_distributed():
        for buffer in model.buffers():
            torch_dist.broadcast(buffer, 0)
