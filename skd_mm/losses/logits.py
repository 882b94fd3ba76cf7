"""Losses that compare what two networks predict."""

from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss, mean_of_valid, resize_labels


@LOSSES.register_module()
class KDLoss(SpotLoss):
    """Knowledge distillation: the divergence between softened predictions.

    ``L_b = T^2 · KL(softmax(z_T / T) || softmax(z_S / T))``, summed over the classes. Hinton, Vinyals and Dean, arXiv
    1503.02531, Sec. 2; SAKD (arXiv 2205.02399): the logit spot, T = 4, α = 1. (SKD's Hinton baseline: T = 20.)

    For dense predictions it is the mean over the valid pixels of the image, this project's extension: an image weighs
    the same however much of it is labelled, and one without a valid pixel is zero.

    Args:
        temperature: ``T``. Defaults to 4.
        ignore_index: The label of pixels that do not count. Defaults to 255.

    Raises:
        ValueError: The temperature is not positive.

    Example:
        >>> spots = [dict(student='head.fc', loss=dict(type='KDLoss'))]
        >>> dense = [dict(student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1))]
    """

    needs = ('labels',)

    def __init__(self, temperature: float = 4.0, ignore_index: int = 255) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'KDLoss: `temperature` must be positive, not {temperature!r}')
        self.temperature = temperature
        self.ignore_index = ignore_index

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compares two predictions.

        Args:
            student: Logits ``[B, K]``, or ``[B, K, H, W]`` for dense predictions.
            teacher: The same.
            labels: For dense predictions the ground truth, ``[B, H', W']``, which only says what is valid; taken at
                the nearest pixel where the resolution differs. All pixels are valid without it.

        Returns:
            ``[B]``.
        """
        log_student = F.log_softmax(student / self.temperature, dim=1)
        log_teacher = F.log_softmax(teacher / self.temperature, dim=1)
        divergence = self.temperature**2 * F.kl_div(log_student, log_teacher, reduction='none', log_target=True).sum(1)
        if divergence.dim() == 1:
            return divergence
        if labels is None or labels.dim() == 1:
            return divergence.flatten(1).mean(1)
        return mean_of_valid(divergence, resize_labels(labels, divergence.shape[1:]) != self.ignore_index)
