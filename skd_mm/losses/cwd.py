"""Losses that compare where each channel is active."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .base import SpotLoss, kl_divergence, require_maps


@LOSSES.register_module()
class CWDLoss(SpotLoss):
    """Channel-wise distillation: the distribution of each channel over the positions.

    ``L_b = (T^2 / C) · Σ_c KL(softmax(x_T,c / T) || softmax(x_S,c / T))``, the softmax over the H·W positions of a
    channel, in nats times ``T^2``. Shu et al., arXiv 2011.13256, Sec. 3. The divergence of a channel is a sum over
    positions, so the value does not depend on the resolution. All positions take part, those without a label too. A
    channel that is constant in both networks is zero, without a gradient.

    Two settings are in use, and they are not equivalent; the weight belongs to one temperature:

    - logits, T = 4, weight 3 (the authors; features: T = 4, weight 50);
    - logits, T = 1, weight 5 (MMRazor; 10 for ADE20K).

    The networks must have the same resolution: put a ``Resize`` on the teacher's side if it differs.

    Args:
        temperature: ``T``. Defaults to 4.

    Raises:
        ValueError: The temperature is not positive.

    Example:
        >>> logits = [dict(student='decode_head.conv_seg', weight=3, loss=dict(type='CWDLoss'))]
        >>> features = [dict(student='decode_head.bottleneck', connector=dict(type='Conv1x1', bias=False), weight=50,
        ...                  loss=dict(type='CWDLoss'))]
    """

    def __init__(self, temperature: float = 4.0) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'CWDLoss: `temperature` must be positive, not {temperature!r}')
        self.temperature = temperature

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two feature maps, or dense logits.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C, H, W]``.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are not maps of one resolution.
        """
        require_maps('CWDLoss', student, teacher)
        return kl_divergence(student.flatten(2), teacher.flatten(2), self.temperature, dim=2).mean(1)
