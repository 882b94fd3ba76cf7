"""Losses that compare what small translating networks make of the features."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .attention import attention_map
from .base import SpotLoss, require_maps


@LOSSES.register_module()
class FTLoss(SpotLoss):
    """Factor transfer: the student's translator against the teacher's pretrained paraphraser.

    ``L_b = mean over (H, W) of |Q(translator(f_S)) - Q(paraphraser(f_T))|`` with ``Q = vec(mean_c f^2) / ||·||_2``.
    Kim, Park and Kwak, arXiv 1802.04977, the factor transfer loss with p = 1, where the factors are normalised as a
    whole; the mean over the channels is that of SAKD (arXiv 2205.02399; table row FT, last stage, β = 200) and of the
    code it is built on. The two networks are the connectors ``Translator`` and ``Paraphraser``. A separate phase
    trains the latter to reproduce the teacher's feature; then it is frozen.

    Example:
        >>> spots = [dict(student='backbone.layer4', loss=dict(type='FTLoss'),
        ...               connector=dict(type='Translator'), teacher_connector=dict(type='Paraphraser'))]
    """

    same_shape = False

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two factors.

        Args:
            student: ``[B, C, H, W]``, after the translator.
            teacher: ``[B, C', H, W]``, after the paraphraser.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are no maps, or of different resolutions.
        """
        require_maps('FTLoss', student, teacher)
        return (attention_map(student) - attention_map(teacher)).abs().mean(1)
