"""Losses that compare how features vary within a class."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss, resize_labels, shapes


@LOSSES.register_module()
class IFVDLoss(SpotLoss):
    """Intra-class feature variation: how similar each feature is to the mean of its class in the image.

    With the mean ``μ_k`` of the features of each class in an image and ``m_p = cos(f_p, μ_{y_p})`` along the channels:
    ``L_b = mean over (H, W) of (m_S - m_T)^2``. Wang et al., Intra-class Feature Variation Distillation, ECCV 2020,
    Sec. 3. The labels are taken at the nearest pixel. The gradient flows through the features and the means. The paper
    has weight 50, the authors' code 200, CIRKD's code (arXiv 2204.06986) 20.

    A position without a label is its own mean and so adds zero to the sum, but counts in the mean over positions, as in
    the authors' code; so does the only position of a class. Without labels the whole image is one class.

    The numbers of channels may differ. If the resolutions do, each network's similarities are computed at its own, and
    the teacher's are resized bilinearly to the student's; this is an extension.

    Args:
        num_classes: Labels from 0 to this number, excluded, are classes; filled in by the distiller. Defaults to 256,
            which is all that a label map of bytes can hold. The means are computed as products of matrices with
            ``num_classes · H · W`` entries per image, so a smaller number saves memory: 8 MiB per image at 64 × 128 and
            256 classes.
        ignore_index: The label of pixels without a class. Defaults to 255.

    Raises:
        ValueError: There are no classes.

    Example:
        >>> spots = [dict(student='decode_head.bottleneck', loss=dict(type='IFVDLoss'), weight=20)]
    """

    needs = ('labels',)
    same_shape = False

    def __init__(self, num_classes: int = 256, ignore_index: int = 255) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f'IFVDLoss: `num_classes` must be positive, not {num_classes!r}')
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compare two feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C', H', W']``.
            labels: The ground truth, ``[B, H'', W'']``, of any resolution.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are not maps.
        """
        if student.dim() != 4 or teacher.dim() != 4:
            raise ValueError(f'IFVDLoss compares feature maps [B, C, H, W], not {shapes(student)} and '
                             f'{shapes(teacher)}')
        similar_s, labelled = self._similarity(student, labels)
        similar_t, _ = self._similarity(teacher, labels)
        if similar_t.shape != similar_s.shape:
            similar_t = F.interpolate(similar_t[:, None], similar_s.shape[1:], mode='bilinear')[:, 0]
        return (similar_s - similar_t).masked_fill(~labelled, 0).square().flatten(1).mean(1)

    def _similarity(self, feature: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """``[B, C, H, W]`` to cosines with the class means and where there is a label, both ``[B, H, W]``."""
        size = feature.shape[2:]
        if labels is None or labels.dim() == 1:
            labels = torch.zeros(len(feature), *size, dtype=torch.long, device=feature.device)
        labels = resize_labels(labels, size)
        labelled = (labels != self.ignore_index) & (labels >= 0) & (labels < self.num_classes)
        classes = torch.arange(self.num_classes, device=labels.device)[:, None]
        # Without a label no row has a one; a product of matrices, unlike a scatter, is repeatable on every device.
        members = (classes == labels.flatten(1).masked_fill(~labelled.flatten(1), -1)[:, None]).to(feature.dtype)
        positions = feature.flatten(2)
        # The sum of a class has the direction of its mean.
        sums = positions @ members.transpose(1, 2)
        similarity = F.cosine_similarity(positions, sums @ members, dim=1, eps=1e-8)
        # A dead position has no direction, and a gradient of 1e8 would be of no use.
        similarity = similarity.masked_fill((positions == 0).all(1), 0).unflatten(1, size)
        return similarity.masked_fill(~labelled, 1), labelled
