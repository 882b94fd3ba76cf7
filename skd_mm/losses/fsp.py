"""Losses that compare how features change from one layer to another."""

from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss, shapes


@LOSSES.register_module()
class FSPLoss(SpotLoss):
    """Flow of the solution procedure: the Gram matrix between two layers of a network.

    ``G = (1 / HW) Σ over positions of f_1 f_2ᵀ``, ``[C_1, C_2]``, and ``L_b = mean over (C_1, C_2) of (G_S - G_T)^2``.
    Yim et al., "A Gift from Knowledge Distillation", CVPR 2017, Sec. 3.2 and 3.3, Eq. 1 and 2, with a mean for the
    squared norm. Where the two layers differ in resolution the finer one is average-pooled (the paper: max-pooled), as
    in the baselines of SKD (arXiv 1911.06786: the mean of three such losses between consecutive layers) and in the
    code SAKD (arXiv 2205.02399) is built on. Both networks must have the same numbers of channels; the resolutions may
    differ.

    Example:
        >>> spots = [dict(name='flow1', student=['backbone.layer1', 'backbone.layer2'], loss=dict(type='FSPLoss'))]
    """

    same_shape = False

    def compare(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        """Compare two pairs of feature maps.

        Args:
            student: ``[B, C_1, H, W]`` and ``[B, C_2, H', W']``, of two layers of the student.
            teacher: The same of the teacher.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are no pairs of maps, or the numbers of channels differ.
        """
        if not all(isinstance(side, tuple) and len(side) == 2 for side in (student, teacher)):
            raise ValueError('FSPLoss needs the features of two layers from each network: `student` and `teacher` of '
                             "the spot are lists of two modules, like ['backbone.layer1', 'backbone.layer2']")
        if [part.shape[1] for part in student] != [part.shape[1] for part in teacher]:
            raise ValueError(f'FSPLoss compares layers with the same numbers of channels, not {shapes(student)} with '
                             f'{shapes(teacher)}')
        return (flow_matrix(*student) - flow_matrix(*teacher)).square().flatten(1).mean(1)


def flow_matrix(one: Tensor, other: Tensor) -> Tensor:
    """Return the Gram matrix between two layers, averaged over the positions.

    Args:
        one: ``[B, C_1, H, W]``.
        other: ``[B, C_2, H', W']``; along each axis the finer of the two is average-pooled.

    Returns:
        ``[B, C_1, C_2]``.
    """
    size = min(one.shape[2], other.shape[2]), min(one.shape[3], other.shape[3])
    one, other = (F.adaptive_avg_pool2d(part, size).flatten(2) for part in (one, other))
    return one @ other.transpose(1, 2) / one.shape[2]
