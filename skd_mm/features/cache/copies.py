"""Copies between devices that the host does not wait for."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from .layout import Block


def recorded_event(device: torch.device) -> Any:
    """Record an event after everything that is queued on a device.

    Args:
        device: The device.

    Returns:
        The event; None on a CPU, which has no queue.
    """
    if device.type == 'cpu':
        return None
    event = getattr(torch, device.type).Event()
    event.record()
    return event


def to_device(rows: Sequence[tuple[Block, int]], device: torch.device) -> list[Tensor]:
    """Queue a copy of samples to a device.

    Args:
        rows: For each sample the block that has it, and its position there; all of one layout.
        device: The device.

    Returns:
        For each leaf of the layout ``[N, *leaf.shape]``.
    """
    return [_leaf_to_device([block.tensors[i][row] for block, row in rows], device)
            for i in range(len(rows[0][0].tensors))]


def _leaf_to_device(parts: list[Tensor], device: torch.device) -> Tensor:
    if device.type == 'cpu' or all(part.device == device for part in parts):
        return torch.stack([part.to(device) for part in parts])
    out = torch.empty((len(parts), *parts[0].shape), dtype=parts[0].dtype, device=device)
    pageable = [i for i, part in enumerate(parts) if part.device.type == 'cpu' and not part.is_pinned()]
    if pageable:
        staged = torch.empty((len(pageable), *out.shape[1:]), dtype=out.dtype, device='cpu', pin_memory=True)
        torch.stack([parts[i] for i in pageable], out=staged)
        for row, i in enumerate(pageable):
            parts[i] = staged[row]
    for target, part in zip(out, parts, strict=True):
        target.copy_(part, non_blocking=True)
    return out


class Prefetcher:
    """Copies samples to a device from a thread, on a stream of its own if the device has streams."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._streams: dict[torch.device, Any] = {}

    def start(self, rows: Sequence[tuple[Block, int]], device: torch.device) -> Future:
        """Begin a copy.

        Args:
            rows: See :func:`to_device`.
            device: The device.

        Returns:
            For :meth:`finish`.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, 'feature-prefetch')
        stream = None
        if device.type != 'cpu' and hasattr(getattr(torch, device.type), 'Stream'):
            if device not in self._streams:
                self._streams[device] = getattr(torch, device.type).Stream(device)
            stream = self._streams[device]
        # The samples may have been stored by copies that are still queued.
        stored = recorded_event(device) if stream is not None else None
        return self._thread.submit(self._copy, rows, device, stream, stored)

    @staticmethod
    def _copy(rows: Sequence[tuple[Block, int]], device: torch.device, stream: Any,
              stored: Any) -> tuple[list[Tensor], Any]:
        if stream is None:
            return to_device(rows, device), None
        with getattr(torch, device.type).stream(stream):
            stream.wait_event(stored)
            return to_device(rows, device), stream.record_event()

    @staticmethod
    def finish(copy: Future) -> list[Tensor]:
        """Return the samples of a copy; what is queued on the device afterwards waits for it, the host does not.

        Args:
            copy: What :meth:`start` returned.

        Returns:
            See :func:`to_device`.
        """
        tensors, event = copy.result()
        if event is not None:
            stream = getattr(torch, tensors[0].device.type).current_stream()
            stream.wait_event(event)
            for tensor in tensors:
                tensor.record_stream(stream)
        return tensors

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
