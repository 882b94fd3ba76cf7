"""Losses that contrast parts of a feature map with each other."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from skd_mm.registry import LOSSES

from .base import SpotLoss, require_maps


@LOSSES.register_module()
class AfDCDLoss(SpotLoss):
    """Augmentation-free dense contrastive distillation: groups of channels at the positions of a patch.

    Both maps are max-pooled and cut into patches; the channels are split into groups. In a patch of n positions and M
    groups, each of the ``n · M`` vectors of the student is to be closest to the teacher's vector at the same position
    and of the same group, by the L1 distance, among that and all vectors of other groups in the patch:

    ``L_c = 1/(H·W) · Σ_patches Σ_i -log [exp(-d_ii / τ) / (exp(-d_ii / τ) + Σ_j exp(-d_ij / τ))]``

    with H·W positions after pooling, and ``L_b = feature · Σ (f_S - f_T)^2 + contrast · L_c``, the first sum over all
    channels and positions before pooling. Fan et al., Af-DCD, NeurIPS 2023, in the form of the authors' code, which
    leaves out the vectors of the same group at other positions, contrary to the text of the paper. Rows and columns at
    the right and bottom that make no whole patch are left out. The features are not normalised, so ``τ`` fits features
    of the scale of a ResNet's after its last ReLU.

    The authors have it after ``MaskedGenerator`` at the end of the backbone, next to pixel KD. Their weights are
    (2e-6, 0.005) for Cityscapes, (1e-6, 0.005) for Pascal VOC, (1e-6, 0.04) for ADE20K, (5e-6, 0.005) for COCO-Stuff
    and (8e-6, 0.01) with ``pool=1`` for CamVid.

    Args:
        feature: Weight of the squared errors. Defaults to 2e-6.
        contrast: Weight of ``L_c``. Defaults to 0.005.
        temperature: ``τ``. Defaults to 0.07.
        groups: ``M``, a divisor of the number of channels. Defaults to 16.
        pool: Kernel and stride of the max-pooling; 1 does not pool. Defaults to 4.
        patch: Side of a patch. Defaults to 4.
        chunk: Distances that are computed at once; the others are computed again in the backward pass. Defaults to
            2^24.

    Raises:
        ValueError: A number is not positive.

    Example:
        >>> spots = [dict(student='backbone.layer4', connector=dict(type='MaskedGenerator'),
        ...               loss=dict(type='AfDCDLoss'))]
    """

    def __init__(self, feature: float = 2e-6, contrast: float = 0.005, temperature: float = 0.07, groups: int = 16,
                 pool: int = 4, patch: int = 4, chunk: int = 2**24) -> None:
        super().__init__()
        self.feature = feature
        self.contrast = contrast
        for name, value in (('temperature', temperature), ('groups', groups), ('pool', pool), ('patch', patch),
                            ('chunk', chunk)):
            if not value > 0:
                raise ValueError(f'AfDCDLoss: `{name}` must be positive, not {value!r}')
        self.temperature = temperature
        self.groups = groups
        self.pool = pool
        self.patch = patch
        self.chunk = chunk

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compares two feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C, H, W]``.

        Returns:
            ``[B]``; without ``L_c`` if the pooled maps are smaller than a patch.

        Raises:
            ValueError: They are not maps of one resolution, or the channels cannot be split into the groups.
        """
        require_maps('AfDCDLoss', student, teacher)
        if student.shape[1] % self.groups:
            raise ValueError(f'AfDCDLoss: `groups` ({self.groups}) must divide the number of channels, '
                             f'{student.shape[1]}')
        (mine, count), (theirs, _) = self._vectors(student), self._vectors(teacher)
        errors = self.feature * (student - teacher).square().flatten(1).sum(1)
        if not len(mine):
            return errors
        vectors = mine.shape[1]
        step = max(1, self.chunk // vectors**2)
        parts = [checkpoint(self._contrast, one, other, use_reentrant=False, preserve_rng_state=False)
                 for one, other in zip(mine.split(step), theirs.split(step), strict=True)]
        return errors + self.contrast / count * torch.cat(parts).unflatten(0, (len(student), -1)).sum(1)

    def _vectors(self, feature: Tensor) -> tuple[Tensor, int]:
        """``[B, C, H, W]`` to ``[B · patches, positions · groups, C / groups]``, and the number of positions."""
        if self.pool > 1:
            feature = F.max_pool2d(feature, self.pool)
        side = self.patch
        rows, columns = feature.shape[2] // side, feature.shape[3] // side
        feature = feature[:, :, :rows * side, :columns * side]
        # [B, M, C / M, rows, side, columns, side] to [B, rows, columns, side, side, M, C / M]
        parts = feature.unflatten(1, (self.groups, -1)).unflatten(4, (columns, side)).unflatten(3, (rows, side))
        parts = parts.permute(0, 3, 5, 4, 6, 1, 2)
        return parts.flatten(3, 5).flatten(0, 2), rows * columns * side**2

    def _contrast(self, student: Tensor, teacher: Tensor) -> Tensor:
        """``[N, V, D]`` of both to the sum over the vectors of each patch, ``[N]``."""
        similarity = torch.cdist(student, teacher, p=1) / -self.temperature
        group = torch.arange(student.shape[1], device=student.device) % self.groups
        same = group == group[:, None]
        own = torch.eye(len(group), dtype=torch.bool, device=student.device)
        compared = similarity.masked_fill(same & ~own, -torch.inf)
        return (compared.logsumexp(2) - similarity.diagonal(dim1=1, dim2=2)).sum(1)
