"""What every loss at a spot has in common."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skd_mm.utils import tree_map

Feature = Tensor | tuple[Tensor, ...]
"""Input of a loss from one network: a tensor ``[B, ...]``, or several if the loss needs more than one."""


class SpotLoss(nn.Module):
    """Base class of losses between a student's and a teacher's feature.

    A loss gives one value a sample, so that it can be weighted, gated and averaged over a data set by whoever needs
    that; none of it is the loss's affair. A loss that compares samples with each other cannot do so: it sets
    ``relational`` and returns a scalar.

    A subclass implements :meth:`compare`. It is called outside of autocast with features of at least float32: a
    softmax, a norm or an eps is worth nothing in 8 or 11 bits.

    Attributes:
        relational: Whether the result is one scalar for the batch instead of ``[B]``.
        same_shape: Whether both features must have the same shape; checked before the training starts.
        needs: Other inputs that the loss can use, as names of keyword arguments of :meth:`forward`:
            ``'labels'``, the ground truth, ``[B]`` classes or ``[B, H, W]`` maps of them. Each may be left out.
    """

    relational = False
    same_shape = True
    needs: tuple[str, ...] = ()

    def forward(self, student: Feature, teacher: Feature, **context: Tensor | None) -> Tensor:
        """Compare two features.

        Args:
            student: ``[B, ...]``, the student's feature after its connector.
            teacher: ``[B, ...]``, the teacher's feature after its connector; it has a graph only if that connector is
                trained.
            **context: What :attr:`needs` names; the batch is the first dimension of all of it.

        Returns:
            ``[B]``, or a scalar where ``relational``.
        """
        with torch.autocast(parts(student)[0].device.type, enabled=False):
            return self.compare(upcast(student), upcast(teacher), **context)

    def compare(self, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the loss.

        Args:
            *args: The student's and the teacher's feature as in :meth:`forward`, in float32 or float64.
            **kwargs: The context, as in :meth:`forward`.

        Returns:
            ``[B]``, or a scalar where ``relational``.
        """
        raise NotImplementedError


class RelationalLoss(SpotLoss):
    """Base class of losses between the relations of the samples in a batch.

    The relations of a part of the batch are not a part of the relations of the batch: samples that a gate leaves out
    must be left out of the relations. How many these are only the accelerator knows, so the loss gets all samples and a
    mask; a loss that takes none gets the selected samples alone, for which the host waits in every step.

    Attributes:
        takes_selected: Whether :meth:`compare` takes ``selected``, see :meth:`forward`.
        minimum: How many samples the loss needs. With fewer there is nothing to compare: it is zero, connected to
            the graph with gradients that are zero, so that every process of a distributed run has the same backward
            pass.
    """

    relational = True
    same_shape = False
    takes_selected = False
    minimum = 2

    def forward(self, student: Feature, teacher: Feature, selected: Tensor | None = None,
                **context: Tensor | None) -> Tensor:
        """Compare two batches of features.

        Args:
            student: ``[B, ...]``, the student's features after its connector.
            teacher: ``[B, ...]``, the teacher's after its own.
            selected: ``[B]``, True for the samples whose relations are compared, which come first. They all are by
                default. :meth:`compare` gets it if the class has ``takes_selected``, with zeros for the features of the
                other samples.
            **context: As for :class:`SpotLoss`.

        Returns:
            A scalar; 0 if fewer samples than :attr:`minimum` are compared.
        """
        if len(parts(student)[0]) < self.minimum:
            # A sum over no samples, not a product with zero: that would make NaN of an infinite feature.
            return torch.stack([part[:0].sum() for part in (*parts(upcast(student)), *parts(upcast(teacher)))]).sum()
        if selected is None:
            return super().forward(student, teacher, **context)
        if not self.takes_selected:
            chosen = selected.nonzero()[:, 0]
            context = {name: known if known is None else known[chosen] for name, known in context.items()}
            return self.forward(tree_map(lambda part: part[chosen], student),
                                tree_map(lambda part: part[chosen], teacher), **context)
        selected = selected & (selected.sum() >= self.minimum)
        return super().forward(_zero_others(student, selected), _zero_others(teacher, selected), selected=selected,
                               **context)


def _zero_others(feature: Feature, selected: Tensor) -> Feature:
    def zero(part: Tensor) -> Tensor:
        return part.masked_fill(~selected.view(-1, *[1] * (part.dim() - 1)), 0)

    return tree_map(zero, feature)


def mean_of_selected(values: Tensor, selected: Tensor | None, order: int = 1) -> Tensor:
    """Return the mean over selected samples, or over pairs or triples of them.

    Args:
        values: ``[B]``, ``[B, B]`` or ``[B, B, B]``, zero for what is not selected.
        selected: ``[B]`` of booleans; None for all.
        order: How many samples a value belongs to. Defaults to 1.

    Returns:
        A scalar; 0 if none is selected.
    """
    if selected is None:
        return values.mean()
    return values.sum() / selected.sum().clamp(min=1)**order


def parts(feature: Feature) -> tuple[Tensor, ...]:
    """Return the tensors of a feature."""
    return (feature,) if isinstance(feature, Tensor) else tuple(feature)


def upcast(feature: Any) -> Any:
    """Return a feature in at least float32; float64 stays as it is.

    Args:
        feature: A tensor, or a tuple of tensors.

    Returns:
        The same, a tensor or a tuple.
    """
    if isinstance(feature, Tensor):
        return feature.to(torch.promote_types(feature.dtype, torch.float32))
    return tuple(upcast(part) for part in feature)


def safe_normalize(feature: Tensor, dim: int) -> Tensor:
    """Normalise vectors to length 1; zero vectors stay zero and get a zero gradient.

    ``torch.nn.functional.normalize`` divides zero vectors, and their gradients, by its eps. This makes the gradients
    1e12 times too large for every dead channel and for two equal samples.

    Args:
        feature: Any shape.
        dim: The dimension of the vectors.

    Returns:
        The same shape.
    """
    length = torch.linalg.vector_norm(feature, dim=dim, keepdim=True)
    there = length > 1e-12
    return (feature / torch.where(there, length, torch.ones_like(length))).masked_fill(~there, 0)


def resize_labels(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Resize label maps with nearest-neighbour interpolation.

    Args:
        labels: ``[B, H, W]``.
        size: Height and width.

    Returns:
        ``[B, *size]``; ``labels`` itself if the size is the same.
    """
    if labels.shape[1:] == torch.Size(size):
        return labels
    return F.interpolate(labels[:, None].float(), size=tuple(size), mode='nearest')[:, 0].to(labels.dtype)


def mean_of_valid(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over the valid positions of each sample, so that all images have the same weight.

    Args:
        values: ``[B, ...]``.
        valid: The same shape.

    Returns:
        ``[B]``; zero if no position is valid.
    """
    if values.dim() == 1:
        return values
    return values.masked_fill(~valid, 0).flatten(1).sum(1) / valid.flatten(1).sum(1).clamp(min=1)


def kl_divergence(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
    """Return ``T^2 · KL(softmax(z_T / T) || softmax(z_S / T))`` along a dimension.

    Args:
        student: Scores ``z_S`` of any shape.
        teacher: Scores ``z_T``, the same shape.
        temperature: ``T``.
        dim: The dimension of the softmax.

    Returns:
        The same shape without ``dim``, in nats times ``T^2``.
    """
    log_student = F.log_softmax(student / temperature, dim=dim)
    log_teacher = F.log_softmax(teacher / temperature, dim=dim)
    return temperature**2 * F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(dim)


def require_maps(name: str, student: Tensor, teacher: Tensor) -> None:
    """Refuse features that are not maps of the same positions.

    Args:
        name: The loss's name, for the message.
        student: Should be ``[B, C, H, W]``.
        teacher: Should be ``[B, C', H, W]``.

    Raises:
        ValueError: They are not; the message says what would help.
    """
    if not (isinstance(student, Tensor) and isinstance(teacher, Tensor) and student.dim() == teacher.dim() == 4):
        raise ValueError(f'{name} compares feature maps [B, C, H, W], not {shapes(student)} and {shapes(teacher)}')
    if student.shape[2:] != teacher.shape[2:]:
        raise ValueError(f'{name} compares maps of the same resolution, not {shapes(student)} and {shapes(teacher)}: '
                         "put dict(type='PoolToSmaller') on both sides, as `connector` and as `teacher_connector`")


def shapes(feature: Feature) -> str:
    """Return the shape or shapes of a feature, for messages."""
    return ' and '.join(str(list(part.shape)) for part in parts(feature))
