"""The queue of one vector per image."""

import torch
from torch import Tensor, nn

from skd_mm.losses.base import safe_normalize, upcast
from skd_mm.registry import MEMORIES
from skd_mm.utils import gather_samples


@MEMORIES.register_module()
class VectorQueue(nn.Module):
    """A queue of the teacher's vectors, one per image, of length 1.

    Each training step first writes the vectors of the batch, those of all processes, over the oldest ones; then the
    batch is compared with the queue, so each image is also compared with itself. Slots that have not been written
    yet do not count. For :class:`skd_mm.losses.QueueKDLoss`.

    A reconstruction from the description of the third version of distillation in LightlyTrain. Its queue holds a
    quarter to half of the images and at most 8192; more slots than images hold several vectors of one image.

    All state is in buffers, ``4 · slots · dim`` bytes, so a resumed run continues exactly. The queues of all processes
    stay equal. In eval mode nothing is remembered.

    Args:
        dim: Channels of the teacher's vectors; filled in by the distiller.
        slots: How many vectors are remembered. Defaults to 8192.

    Raises:
        ValueError: A number is not positive.

    Example:
        >>> pool = dict(type='GlobalPool')
        >>> spots = [dict(student='backbone.layer4', teacher='backbone[0]', loss=dict(type='QueueKDLoss'),
        ...               connector=[dict(type='Conv1x1'), pool], teacher_connector=pool,
        ...               memory=dict(type='VectorQueue', slots=1024))]
    """

    def __init__(self, dim: int, slots: int = 8192) -> None:
        super().__init__()
        for name, value in (('dim', dim), ('slots', slots)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f'VectorQueue: `{name}` must be a positive whole number, not {value!r}')
        self.vectors: Tensor
        self.written: Tensor
        self.register_buffer('vectors', torch.zeros(slots, dim))
        self.register_buffer('written', torch.zeros((), dtype=torch.long))  # how many, overwritten ones included

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor | None = None, labels: Tensor | None = None,
                selected: Tensor | None = None) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Remember the teacher's vectors in training mode, and return what both networks are compared with.

        Args:
            student: ``[B, dim]``.
            teacher: ``[B, dim]``.
            index: Not used.
            labels: Not used.
            selected: ``[B]``, True for the images that are remembered; all by default.

        Returns:
            For each network its vectors of length 1, ``[B, dim]``, the same queue, ``[B, slots, dim]``, and its filled
            slots, ``[B, slots]``; queue and slots are equal for all images.

        Raises:
            ValueError: The features are not vectors of ``dim`` channels, or the batch of all processes is larger than
                the queue.
        """
        dim = self.vectors.shape[1]
        if student.shape[1:] != (dim,) or teacher.shape[1:] != (dim,):
            raise ValueError(f'VectorQueue has dim={dim}, and the features are {list(student.shape)} and '
                             f"{list(teacher.shape)}; put connector=[dict(type='Conv1x1'), dict(type='GlobalPool')] "
                             "and teacher_connector=dict(type='GlobalPool') at the spot")
        with torch.autocast(student.device.type, enabled=False):
            student, teacher = (safe_normalize(upcast(side), dim=1) for side in (student, teacher))
            if self.training:
                self._remember(teacher, selected)
            # A copy: the next step writes to the queue, maybe before the backward pass of this one.
            queue = self.vectors.to(student.dtype, copy=True).expand(len(student), -1, -1)
        slots = torch.arange(len(self.vectors), device=queue.device)
        filled = (slots < self.written).expand(len(student), -1)
        return (student, queue, filled), (teacher, queue, filled)

    def check_batch(self, size: int) -> None:
        """Check that there is room for a batch.

        Args:
            size: The number of images in a batch of all processes.

        Raises:
            ValueError: There are fewer slots.
        """
        if size > len(self.vectors):
            raise ValueError(f'VectorQueue: `slots` must be at least the batch of all processes, {size} images, not '
                             f'{len(self.vectors)}')

    @torch.no_grad()
    def _remember(self, teacher: Tensor, selected: Tensor | None) -> None:
        """Write the vectors of all processes, one process after the other."""
        # A vector that has overflowed in half precision must not be kept: the optimizer skips that step.
        chosen = teacher.isfinite().all(1)
        if selected is not None:
            chosen = chosen & selected
        teacher, chosen = gather_samples(teacher), gather_samples(chosen)
        self.check_batch(len(teacher))
        order = chosen.int().argsort(descending=True, stable=True)
        rank = torch.arange(len(teacher), device=teacher.device)
        slots = (self.written + rank) % len(self.vectors)
        old, count = self.vectors[slots], chosen.sum()
        self.vectors[slots] = torch.where((rank < count)[:, None], teacher[order].to(old.dtype), old)
        self.written += count
