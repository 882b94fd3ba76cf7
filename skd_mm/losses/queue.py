"""Losses that compare the similarities of images to those in a queue."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss


@LOSSES.register_module()
class QueueKDLoss(SpotLoss):
    """KD of the similarities between an image and a queue of the teacher's vectors: the global term of LightlyTrain.

    With vectors ``s`` of the student and ``t`` of the teacher, of length 1, and K vectors of the teacher in a queue as
    columns of ``Q``: ``L_b = KL(softmax(Qᵀ t_b / τ_T) || softmax(Qᵀ s_b / τ))``, in nats, without a factor ``τ^2``. No
    labels are needed. The queue is the spot's memory, :class:`skd_mm.memories.VectorQueue`.

    The term is reconstructed from the description of the third version of distillation in LightlyTrain, where both
    temperatures are 0.07. ``temperature=0.2, teacher_temperature=0.01`` are those of SEED (Fang et al., arXiv
    2101.04731), whose cross-entropy has the same gradient. The local term, similarities of the positions of one image,
    is :class:`CIRKDLoss` with ``pairs='self', temperature=0.07``.

    Args:
        temperature: ``τ``, of the student. Defaults to 0.07.
        teacher_temperature: ``τ_T``, of the teacher. Defaults to None, the student's.

    Raises:
        ValueError: A temperature is not positive.

    Example:
        >>> pool = dict(type='GlobalPool')
        >>> spots = [dict(student='backbone.layer4', teacher='backbone[0]', loss=dict(type='QueueKDLoss'),
        ...               connector=[dict(type='Conv1x1'), pool], teacher_connector=pool,
        ...               memory=dict(type='VectorQueue'))]
    """

    same_shape = False

    def __init__(self, temperature: float = 0.07, teacher_temperature: float | None = None) -> None:
        super().__init__()
        if teacher_temperature is None:
            teacher_temperature = temperature
        for name, value in (('temperature', temperature), ('teacher_temperature', teacher_temperature)):
            if not value > 0:
                raise ValueError(f'QueueKDLoss: `{name}` must be positive, not {value!r}')
        self.temperature = temperature
        self.teacher_temperature = teacher_temperature

    def compare(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...]) -> Tensor:
        """Compare similarities to a queue.

        Args:
            student: The student's vectors of length 1, ``[B, D]``, the queue, ``[B, K, D]``, and its filled slots,
                ``[B, K]``, nonzero for these. The queue is the same for all images.
            teacher: The teacher's vectors and the same queue.

        Returns:
            ``[B]``; zero if no slot is filled.

        Raises:
            ValueError: The features do not come from a queue.
        """
        if not isinstance(student, tuple) or len(student) != 3:
            raise ValueError("QueueKDLoss compares what dict(type='VectorQueue') gives: put it at the spot as `memory`")
        if not len(student[0]):
            return student[0].sum(1) + teacher[0].sum(1)
        log_student = _log_similarities(student, self.temperature)
        log_teacher = _log_similarities(teacher, self.teacher_temperature)
        return F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(1)


def _log_similarities(feature: tuple[Tensor, ...], temperature: float) -> Tensor:
    """Log-probabilities of the slots of a queue, ``[B, K]``; zero for slots that are not filled."""
    vectors, queue, filled = feature
    filled = filled != 0
    scores = vectors @ queue[:1].flatten(0, 1).t() / temperature
    # The lowest finite number: infinity would give NaN on the way if no slot is filled.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~filled, lowest).log_softmax(1).masked_fill(~filled, 0)
