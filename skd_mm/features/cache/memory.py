"""Features in memory: of the device, and of the host."""

import torch
from torch import Tensor

from .layout import Block, Layout

# A power of two, since PyTorch rounds pinned memory up to the next one.
_SLAB = 2**26
_ALIGNMENT = 64


class DeviceTier:
    """Features on the device where they were computed.

    Args:
        limit: Bytes that may be stored.
    """

    name = 'device'

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bytes = 0

    def room(self, layout: Layout) -> int:
        """Return how many more samples may be stored.

        Args:
            layout: Their layout.
        """
        return max(0, self.limit - self.bytes) // max(1, layout.nbytes)

    def put(self, count: int, layout: Layout, tensors: list[Tensor]) -> Block:
        """Store samples for which there is room.

        Args:
            count: Number of samples, N.
            layout: Their layout.
            tensors: For each leaf ``[N, *leaf.shape]``.

        Returns:
            A copy of them.
        """
        block = Block(layout, self._copy(tensors), count, self.name)
        self.bytes += block.nbytes
        return block

    def _copy(self, tensors: list[Tensor]) -> list[Tensor]:
        return [tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors]


class HostTier(DeviceTier):
    """Features in the memory of the host, pinned if they come from an accelerator.

    Copies to it and from it are queued on the device, and nothing waits for them.

    Args:
        limit: Bytes that may be stored.
    """

    name = 'host'

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._slab: Tensor | None = None
        self._used = 0

    def _copy(self, tensors: list[Tensor]) -> list[Tensor]:
        return [self._allocate(tensor).copy_(tensor, non_blocking=True) for tensor in tensors]

    def _allocate(self, like: Tensor) -> Tensor:
        """Allocate a tensor in pieces of memory that are large, since pinning takes long."""
        size = like.nbytes
        if self._slab is None or self._used + size > len(self._slab):
            wanted = max(size, min(_SLAB, self.limit - self.bytes))
            self._slab = torch.empty(wanted, dtype=torch.uint8, device='cpu', pin_memory=like.device.type != 'cpu')
            self._used = 0
        part = self._slab[self._used:self._used + size]
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        return part.view(like.dtype).view(like.shape)
