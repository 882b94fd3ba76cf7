"""Losses that compare the class scores of dense detectors."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import Feature, SpotLoss, parts, shapes


@LOSSES.register_module()
class SigmoidKDLoss(SpotLoss):
    """Knowledge distillation for detectors whose scores are sigmoids: one binary prediction per class and anchor.

    ``L_b = 1 / N · Σ |p_S - p_T|^β · BCE(p_S, p_T)``, summed over all levels, positions, anchors and classes, with
    ``p = sigmoid(z)``. This is the quality focal loss (Li et al., arXiv 2006.04388, Eq. 7) with the teacher's scores as
    its targets. CrossKD (Wang et al., arXiv 2306.11369) compares classification scores this way, with β = 1.

    ``N = max(1, Σ max_c p_T)`` is the sum over the positions of the teacher's highest score, as in Dense Teacher (Zhou
    et al., arXiv 2207.02541), but over all positions instead of the best ones. It estimates the number of positive
    positions, so that the loss has the scale of the detector's own classification loss. It is a number per image;
    detectors average over the objects of the batch.

    A softmax over the channels (:class:`KDLoss`) has no meaning for such heads: their channels are the classes of each
    anchor in turn.

    Args:
        beta: ``β``, 0 or more; 0 compares all predictions alike. Defaults to 1.

    Raises:
        ValueError: ``beta`` is negative.

    Example:
        >>> levels = [f'bbox_head[0][{i}]' for i in range(5)]  # RetinaNet, FCOS, ATSS; RTMDet has 3 levels
        >>> spots = [dict(name='logits', student=levels, loss=dict(type='SigmoidKDLoss'))]
    """

    same_shape = False

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        if not beta >= 0:
            raise ValueError(f'SigmoidKDLoss: `beta` must be 0 or more, not {beta!r}')
        self.beta = beta

    def compare(self, student: Feature, teacher: Feature) -> Tensor:
        """Compare the scores of two detectors.

        Args:
            student: Logits of each level, ``[B, A · K, H_l, W_l]`` with A anchors per position; one tensor or a tuple.
            teacher: The same.

        Returns:
            ``[B]``.

        Raises:
            ValueError: Levels, anchors, classes or positions differ.
        """
        if [part.shape for part in parts(student)] != [part.shape for part in parts(teacher)]:
            raise ValueError('SigmoidKDLoss compares the scores of detectors with the same levels, anchors, '
                             f'classes and sizes of images, not {shapes(student)} with {shapes(teacher)}')
        values, positives = [], []
        for own, reference in zip(parts(student), parts(teacher), strict=True):
            target = reference.sigmoid()
            entropy = F.binary_cross_entropy_with_logits(own, target, reduction='none')
            values.append(((own.sigmoid() - target).abs()**self.beta * entropy).flatten(1).sum(1))
            positives.append(target.amax(1).flatten(1).sum(1))
        return torch.stack(values).sum(0) / torch.stack(positives).sum(0).clamp(min=1)
