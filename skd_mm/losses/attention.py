"""Losses that compare where two networks look."""

from torch import Tensor

from skd_mm.registry import LOSSES

from .base import SpotLoss, require_maps, safe_normalize


def attention_map(feature: Tensor, power: float = 2) -> Tensor:
    """Return a feature map's normalised spatial attention, ``vec(mean_c |f|^p) / ||·||_2``.

    Args:
        feature: ``[B, C, H, W]``.
        power: The exponent ``p``.

    Returns:
        ``[B, H·W]``, each row of length 1 (0 if the feature is zero everywhere, with a zero gradient).
    """
    return safe_normalize(feature.abs().pow(power).mean(1).flatten(1), dim=1)


@LOSSES.register_module()
class ATLoss(SpotLoss):
    """Attention transfer: where the channels of a layer are active together.

    ``L_b = mean over (H, W) of (Q_S - Q_T)^2`` with ``Q = vec(mean_c f^2) / ||vec(mean_c f^2)||_2``. Zagoruyko and
    Komodakis, arXiv 1612.03928, Sec. 3.1, Eq. 2, whose squared norm is a mean here, as SKD's attention baseline
    (arXiv 1911.06786) and SAKD (arXiv 2205.02399; table row AT, at f1..fn, β = 1000) have it. The numbers of channels
    may differ.

    Args:
        power: The exponent of a channel's activation. Defaults to 2.

    Example:
        >>> spots = [dict(student=f'backbone.layer{i}', loss=dict(type='ATLoss')) for i in (1, 2, 3)]
    """

    same_shape = False

    def __init__(self, power: float = 2) -> None:
        super().__init__()
        self.power = power

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare two feature maps.

        Args:
            student: ``[B, C, H, W]``.
            teacher: ``[B, C', H, W]``.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are no maps, or of different resolutions.
        """
        require_maps('ATLoss', student, teacher)
        return (attention_map(student, self.power) - attention_map(teacher, self.power)).square().mean(1)
