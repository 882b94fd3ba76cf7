"""Traffic between the host and an accelerator for which neither waits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class HostCopy:
    """A small tensor on its way from an accelerator to the host.

    The copy is queued and not waited for. :meth:`read` waits for it alone, not for what was queued after it: if more
    work has been queued in the meantime, the accelerator stays busy.

    Args:
        value: The tensor.

    Attributes:
        immediate: Whether reading it costs nothing, as on a CPU.
    """

    def __init__(self, value: Tensor) -> None:
        value = value.detach()
        self.immediate = value.device.type == 'cpu'
        self._value = value if self.immediate else value.to('cpu', non_blocking=True)
        self._event: Any = None
        if not self.immediate:
            self._event = getattr(torch, value.device.type).Event()
            self._event.record()

    def __deepcopy__(self, memo: dict) -> 'HostCopy':
        return self  # an event cannot be copied, and the value does not change

    def read(self) -> Tensor:
        """Return the tensor on the CPU."""
        if self._event is not None:
            self._event.synchronize()
            self._event = None
        return self._value


class DeferredChecks:
    """Checks of values on an accelerator that the host does not wait for.

    On a CPU a check that fails raises at once; on an accelerator at the next :meth:`check`, one step later. What
    depends on the value in the meantime must not fail on it.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[HostCopy, str]] = []

    def require(self, holds: Tensor, value: Tensor, message: str) -> None:
        """Require a condition.

        Args:
            holds: A boolean, ``[]``.
            value: An integer, ``[]``, for the message.
            message: The error, where ``{}`` is replaced by the value.

        Raises:
            ValueError: The condition does not hold, and the tensors are on a CPU.
        """
        copy = HostCopy(torch.stack([holds.long(), value.long()]))
        self._pending.append((copy, message))
        if copy.immediate:
            self.check()

    def check(self) -> None:
        """Read what has been required before.

        Raises:
            ValueError: A condition did not hold.
        """
        pending, self._pending = self._pending, []
        for copy, message in pending:
            holds, value = copy.read().tolist()
            if not holds:
                raise ValueError(message.format(value))


def to_device(values: Sequence[int | float] | Sequence[bool], device: torch.device) -> Tensor:
    """Copy numbers to a device without waiting for it.

    ``torch.tensor(values, device=device)`` waits until an accelerator has done all that is queued.

    Args:
        values: The numbers.
        device: Where they are needed.

    Returns:
        ``[len(values)]``, of the type that ``torch.tensor`` gives.
    """
    tensor = torch.tensor(values)
    if device.type in ('cpu', 'mps'):  # MPS has no pinned memory
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
