"""Losses that compare what two networks predict."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss, kl_divergence, mean_of_valid, resize_labels


@LOSSES.register_module()
class KDLoss(SpotLoss):
    """Knowledge distillation: the divergence between softened predictions.

    ``L_b = T^2 · KL(softmax(z_T / T) || softmax(z_S / T))``, summed over the classes. Hinton, Vinyals and Dean, arXiv
    1503.02531, Sec. 2; SAKD (arXiv 2205.02399): the logit spot, T = 4, α = 1. (SKD's Hinton baseline: T = 20.)

    For dense predictions it is the mean over the valid pixels of the image: an image weighs the same however much of
    it is labelled, and one without a valid pixel is zero. Published segmentation methods average over all pixels
    instead, ignored ones included: ``ignore_index=None``. Their "pixel-wise" terms are this loss at T = 1, with weights
    that differ because their reductions do:

    - CIRKD (arXiv 2204.06986): mean over pixels, weight 1: ``weight=1``.
    - IFVD (ECCV 2020): mean over pixels and the C classes, weight 10: ``weight=10/C``.
    - SKDS (arXiv 1903.04197): the authors' code sums over the B images of a batch, weight 10: ``weight=10*B``.

    Args:
        temperature: ``T``. Defaults to 4.
        ignore_index: The label of pixels that do not count; None if all pixels count. Defaults to 255.
        standardise: Standardise the logits of each sample or pixel over the classes,
            ``z' = (z - mean(z)) / (std(z) + 1e-7)`` with the unbiased standard deviation, before the softmax. Sun et
            al., arXiv 2403.01427, for classification: T = 2 and weight 9, times the ``T^2`` that is in this loss.
            Defaults to False.

    Raises:
        ValueError: The temperature is not positive.

    Example:
        >>> spots = [dict(student='head.fc', loss=dict(type='KDLoss'))]
        >>> dense = [dict(student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1, ignore_index=None))]
    """

    needs = ('labels',)

    def __init__(self, temperature: float = 4.0, ignore_index: int | None = 255, standardise: bool = False) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'KDLoss: `temperature` must be positive, not {temperature!r}')
        self.temperature = temperature
        self.ignore_index = ignore_index
        self.standardise = standardise

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compare two predictions.

        Args:
            student: Logits ``[B, K]``, or ``[B, K, H, W]`` for dense predictions.
            teacher: The same.
            labels: For dense predictions the ground truth, ``[B, H', W']``, which only says what is valid; taken at
                the nearest pixel where the resolution differs. All pixels are valid without it.

        Returns:
            ``[B]``.
        """
        if self.standardise:
            student, teacher = _standardised(student), _standardised(teacher)
        divergence = kl_divergence(student, teacher, self.temperature, dim=1)
        if divergence.dim() == 1:
            return divergence
        if self.ignore_index is None or labels is None or labels.dim() == 1:
            return divergence.flatten(1).mean(1)
        return mean_of_valid(divergence, resize_labels(labels, divergence.shape[1:]) != self.ignore_index)


@LOSSES.register_module()
class DKDLoss(SpotLoss):
    """Decoupled knowledge distillation: the target class against the rest, and the rest among themselves.

    ``L_b = T^2 · (α · KL(b_T || b_S) + β · KL(q_T || q_S))``. ``b = (p_y, 1 - p_y)`` is the softened prediction of the
    target class ``y`` and of all others together, ``q`` the softmax over the other classes alone. Zhao et al., arXiv
    2203.08679, Eq. 7, with the temperature of the authors' code. (KD weighs the second term by ``1 - p_y`` of the
    teacher.) The best ``β`` depends on the data set; the authors train CIFAR-100 with 20 epochs of linear warm-up.

    For dense predictions, our extension, it is the mean over the pixels of the image with a valid label, and
    zero for an image without one. Without labels there is no target class, and the result is the KD loss, the mean over
    all pixels.

    Args:
        alpha: Weight ``α`` of the target class. Defaults to 1.
        beta: Weight ``β`` of the other classes. Defaults to 8.
        temperature: ``T``. Defaults to 4.
        ignore_index: The label of pixels that do not count; labels that are no class never do. Defaults to 255.

    Raises:
        ValueError: The temperature is not positive.

    Example:
        >>> spots = [dict(student='head.fc', loss=dict(type='DKDLoss'))]
        >>> dense = [dict(student='decode_head.conv_seg', loss=dict(type='DKDLoss', beta=2))]
    """

    needs = ('labels',)

    def __init__(self, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0,
                 ignore_index: int = 255) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'DKDLoss: `temperature` must be positive, not {temperature!r}')
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.ignore_index = ignore_index

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compare two predictions.

        Args:
            student: Logits ``[B, K]``, or ``[B, K, H, W]`` for dense predictions.
            teacher: The same.
            labels: The ground truth, ``[B]``, or ``[B, H', W']`` for dense predictions, taken at the nearest pixel
                where the resolution differs.

        Returns:
            ``[B]``.
        """
        if labels is None or labels.dim() != student.dim() - 1:
            divergence = kl_divergence(student, teacher, self.temperature, dim=1)
            return divergence if divergence.dim() == 1 else divergence.flatten(1).mean(1)
        if labels.dim() > 1:
            labels = resize_labels(labels, student.shape[2:])
        valid = (labels != self.ignore_index) & (labels >= 0) & (labels < student.shape[1])
        classes = torch.arange(student.shape[1], device=student.device).view(-1, *[1] * (student.dim() - 2))
        target = classes == labels.unsqueeze(1)
        values = self._decoupled(student / self.temperature, teacher / self.temperature, target)
        if values.dim() == 1:
            return values.masked_fill(~valid, 0)
        return mean_of_valid(values, valid)

    def _decoupled(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Logits over T and the mask of the target class, ``[B, K, ...]``, to the loss ``[B, ...]``."""
        (target_s, rest_s, others_s), (target_t, rest_t, others_t) = (
            _log_parts(side, target) for side in (student, teacher))
        binary = target_t.exp() * (target_t - target_s) + rest_t.exp() * (rest_t - rest_s)
        # The target class is no part of the second distribution: 0 · (-inf) would be NaN.
        difference = (others_t - others_s).masked_fill(target, 0)
        others = (others_t.exp() * difference).sum(1)
        return self.temperature**2 * (self.alpha * binary + self.beta * others)


def _log_parts(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and the target's mask, ``[B, K, ...]``, to ``log p_y``, ``log(1 - p_y)`` (``[B, ...]``) and ``log q``."""
    total = logits.logsumexp(1)
    others = logits.masked_fill(target, -torch.inf)
    rest = others.logsumexp(1)
    return logits.masked_fill(~target, 0).sum(1) - total, rest - total, F.log_softmax(others, dim=1)


def _standardised(logits: Tensor) -> Tensor:
    """``[B, K, ...]`` to mean 0 and standard deviation 1 over the classes."""
    return (logits - logits.mean(1, keepdim=True)) / (logits.std(1, keepdim=True) + 1e-7)
