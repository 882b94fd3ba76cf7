"""Losses that compare the similarities of pixels across images."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from skd_mm.registry import LOSSES

from .base import RelationalLoss, mean_of_selected, require_maps, resize_labels, safe_normalize


@LOSSES.register_module()
class CIRKDLoss(RelationalLoss):
    """Cross-image relational distillation within the batch: how similar each pixel is to those of other images.

    With features of length 1 as columns of ``F_i`` (D × P) of image i and ``S^ij = F_iᵀ F_j / τ``:

    ``L = mean over the pairs (i, j) of [1/P · Σ_p KL(softmax(S_T^ij[p]) || softmax(S_S^ij[p]))]``.

    Yang et al., CIRKD, arXiv 2204.06986, Sec. 3.2, at the last feature of the head, weight 1, without the ``τ^2`` of
    other losses. All ordered pairs of a process's images are compared, each image with itself too, as in the authors'
    code. The numbers of channels may differ. Pixels without a label take part.

    A matrix ``S`` of a pair has ``P^2`` entries, 256 MiB at 64 × 128, and there are several per pair. So rows are
    compared in chunks that are recomputed in the backward pass: about six times ``4 · chunk`` bytes are needed besides
    the features, 400 MiB by default, whatever the batch. The time grows with ``(B·P)^2``.

    Args:
        temperature: ``τ``. Defaults to 0.1.
        pool: Average-pool both maps first by this factor; a last, smaller region takes what is left. CIRKD pools
            SegFormer's features, which are of stride 4, by 2. Defaults to 1.
        pairs: ``'all'``, or ``'self'`` for each image with itself only. Defaults to ``'all'``.
        chunk: Entries of the similarities that are computed at once. Defaults to 2^24.

    Raises:
        ValueError: A number is not positive, or other pairs.

    Example:
        >>> spots = [dict(student='decode_head.bottleneck', loss=dict(type='CIRKDLoss'))]
    """

    takes_selected = True
    minimum = 1

    def __init__(self, temperature: float = 0.1, pool: int = 1, pairs: str = 'all', chunk: int = 2**24) -> None:
        super().__init__()
        if not temperature > 0 or pool < 1 or chunk < 1:
            raise ValueError('CIRKDLoss: `temperature`, `pool` and `chunk` must be positive, not '
                             f'{temperature!r}, {pool!r} and {chunk!r}')
        if pairs not in ('all', 'self'):
            raise ValueError(f"CIRKDLoss: `pairs` must be 'all' or 'self', not {pairs!r}")
        self.temperature = temperature
        self.pool = pool
        self.pairs = pairs
        self.chunk = chunk

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two batches of feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C', H, W]``.
            selected: ``[B]``, True for the images that are compared; all by default.

        Returns:
            A scalar.

        Raises:
            ValueError: They are not maps of one resolution.
        """
        require_maps('CIRKDLoss', student, teacher)
        student, teacher = self._pixels(student), self._pixels(teacher)
        images = []
        for i in range(len(student)):
            others = slice(i, i + 1) if self.pairs == 'self' else slice(None)
            rows = relation_divergence(student[i], teacher[i], student[others], teacher[others], self.temperature,
                                       self.chunk)
            images.append(rows.mean(0))
        pairs = torch.stack(images)  # [B, B], or [B, 1]
        if selected is None:
            return pairs.mean()
        if self.pairs == 'self':
            return mean_of_selected(pairs[:, 0].masked_fill(~selected, 0), selected)
        return mean_of_selected(pairs.masked_fill(~(selected & selected[:, None]), 0), selected, 2)

    def _pixels(self, feature: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, P, C]`` of length 1."""
        if self.pool > 1:
            feature = F.avg_pool2d(feature, self.pool, ceil_mode=True)
        return safe_normalize(feature.flatten(2).transpose(1, 2), dim=2)


@LOSSES.register_module()
class CIRKDMemoryLoss(RelationalLoss):
    """Cross-image relational distillation with a memory: how similar each pixel is to remembered pixels and regions.

    With features ``a`` of length 1 at N labelled pixels, and remembered features of the teacher as columns of ``K``:
    ``L = 1/N · Σ KL(softmax(Kᵀ a_T / τ) || softmax(Kᵀ a_S / τ))``, once with remembered pixels and once with the mean
    features of classes in remembered images: ``pixel · L_pixel + region · L_region``. Yang et al., CIRKD, arXiv
    2204.06986, Sec. 3.3 and 3.4, with weight 0.1 for both (0.01 for Pascal VOC). N counts over the batch of a process;
    without a labelled pixel the loss is zero, and without labels all pixels count.

    What is compared comes from :class:`skd_mm.memories.ClassQueues`, after the connector ``Projector`` on the student's
    side. Similarities are computed in chunks as in :class:`CIRKDLoss`.

    Args:
        pixel: Weight of the remembered pixels. Defaults to 0.1.
        region: Weight of the remembered regions. Defaults to 0.1.
        temperature: ``τ``. Defaults to 0.1.
        ignore_index: The label of pixels that do not count. Defaults to 255.
        chunk: Entries of the similarities that are computed at once. Defaults to 2^24.

    Raises:
        ValueError: The temperature or the chunk's size is not positive.

    Example:
        >>> spots = [dict(student='decode_head.bottleneck', connector=dict(type='Projector'),
        ...               memory=dict(type='ClassQueues'), loss=dict(type='CIRKDMemoryLoss'))]
    """

    takes_selected = True
    needs = ('labels',)
    minimum = 1

    def __init__(self, pixel: float = 0.1, region: float = 0.1, temperature: float = 0.1, ignore_index: int = 255,
                 chunk: int = 2**24) -> None:
        super().__init__()
        if not temperature > 0 or chunk < 1:
            raise ValueError('CIRKDMemoryLoss: `temperature` and `chunk` must be positive, not '
                             f'{temperature!r} and {chunk!r}')
        self.pixel = pixel
        self.region = region
        self.temperature = temperature
        self.ignore_index = ignore_index
        self.chunk = chunk

    def compare(self, student: tuple[Tensor, ...], teacher: tuple[Tensor, ...], labels: Tensor | None = None,
                selected: Tensor | None = None) -> Tensor:
        """Compare similarities to a memory.

        Args:
            student: The student's features of length 1, ``[B, D, H, W]``, the pixels and the regions of the memory that
                they are compared with, ``[B, K, D]`` and ``[B, K', D]``, the same for all images.
            teacher: The teacher's features, and the same pixels and regions.
            labels: ``[B, H', W']``, taken at the nearest pixel if the resolution differs.
            selected: ``[B]``, True for the images that are compared; all by default.

        Returns:
            A scalar.

        Raises:
            ValueError: The features do not come from a memory.
        """
        if not isinstance(student, tuple) or len(student) != 3:
            raise ValueError("CIRKDMemoryLoss compares what dict(type='ClassQueues') gives: put it at the spot as "
                             '`memory`')
        batch, size = len(student[0]), student[0].shape[2:]
        valid = torch.ones(batch, *size, dtype=torch.bool, device=student[0].device)
        if labels is not None and labels.dim() > 1:
            valid = resize_labels(labels, size) != self.ignore_index
        if selected is not None:
            valid = valid & selected[:, None, None]
        mine, theirs = (side[0].flatten(2).transpose(1, 2).flatten(0, 1) for side in (student, teacher))
        total = student[0].new_zeros(())
        for weight, keys in ((self.pixel, student[1]), (self.region, student[2])):
            rows = relation_divergence(mine, theirs, keys[:1], keys[:1], self.temperature, self.chunk)[:, 0]
            total = total + weight * mean_of_selected(rows.masked_fill(~valid.flatten(), 0), valid.flatten())
        return total


def relation_divergence(student: Tensor, teacher: Tensor, student_keys: Tensor, teacher_keys: Tensor,
                        temperature: float, chunk: int) -> Tensor:
    """Return how the similarities of rows to sets of keys diverge between two networks.

    ``KL(softmax(k_T · r_T / τ) || softmax(k_S · r_S / τ))`` over the K keys of each set, computed for a few rows at a
    time; nothing but the rows and keys is kept for the backward pass.

    Args:
        student: ``[N, D]``.
        teacher: ``[N, D']``.
        student_keys: ``[J, K, D]``.
        teacher_keys: ``[J, K, D']``.
        temperature: ``τ``.
        chunk: Entries of a matrix of similarities that is computed at once.

    Returns:
        ``[N, J]``.
    """
    rows = max(1, chunk // student_keys.shape[:2].numel())
    parts = [checkpoint(_divergence, one, other, student_keys, teacher_keys, temperature, use_reentrant=False,
                        preserve_rng_state=False)
             for one, other in zip(student.split(rows), teacher.split(rows), strict=True)]
    return torch.cat(parts)


def _divergence(student: Tensor, teacher: Tensor, student_keys: Tensor, teacher_keys: Tensor,
                temperature: float) -> Tensor:
    log_student, log_teacher = (
        ((rows / temperature) @ keys.flatten(0, 1).t()).unflatten(1, keys.shape[:2]).log_softmax(2)
        for rows, keys in ((student, student_keys), (teacher, teacher_keys)))
    return F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(2)
