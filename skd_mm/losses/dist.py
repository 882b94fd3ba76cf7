"""Losses that compare predictions up to an affine map."""

from torch import Tensor
from torch.linalg import vector_norm

from skd_mm.registry import LOSSES

from .base import RelationalLoss, mean_of_selected


@LOSSES.register_module()
class DISTLoss(RelationalLoss):
    """Correlations of predictions: between the classes of a pixel, and between the pixels of a class.

    With the probabilities ``p = softmax(z / T)`` of all M pixels of the batch as rows of a matrix of K columns, and
    Pearson's correlation ``ρ(u, v) = Σ ũ ṽ / (|ũ| |ṽ| + 1e-8)``, ``ũ = u - mean(u)``:

    ``L = T^2 · [β · (1 - mean over rows of ρ(row_S, row_T)) + γ · (1 - mean over columns of ρ(col_S, col_T))]``.

    Huang et al., arXiv 2205.10536, Sec. 3, and the authors' code, which takes the pixels of all images of a
    process together and includes those without a label; β = γ = 1 and T = 1 for segmentation. The authors also distil
    the auxiliary head's logits, with weight 0.4. The value is in [0, 2 (β + γ)], typically 0.2, so the weights of CWD
    do not suit it. A class whose probability is constant in one network has correlation 0.

    With ``per_image`` the columns are those of each image, and the loss is ``[B]``; it is then another one than the
    published one.

    Args:
        beta: Weight ``β`` of the correlations between the classes. Defaults to 1.
        gamma: Weight ``γ`` of the correlations between the pixels. Defaults to 1.
        temperature: ``T``. Defaults to 1.
        per_image: Correlate the pixels of each image on their own. Defaults to False.

    Raises:
        ValueError: The temperature is not positive.

    Example:
        >>> spots = [dict(student='decode_head.conv_seg', loss=dict(type='DISTLoss')),
        ...          dict(student='auxiliary_head.conv_seg', loss=dict(type='DISTLoss'), weight=0.4)]
    """

    same_shape = True
    takes_selected = True
    minimum = 1

    def __init__(self, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0,
                 per_image: bool = False) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'DISTLoss: `temperature` must be positive, not {temperature!r}')
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature
        self.relational = not per_image
        if per_image:
            self.minimum = 0  # an empty batch has an empty loss

    def compare(self, student: Tensor, teacher: Tensor, selected: Tensor | None = None) -> Tensor:
        """Compare two predictions.

        Args:
            student: Logits ``[B, K, H, W]``, or ``[B, K]``.
            teacher: The same.
            selected: ``[B]``, True for the samples that are compared; all by default. Not with ``per_image``.

        Returns:
            A scalar; with ``per_image``, ``[B]``.

        Raises:
            ValueError: ``per_image`` for logits without pixels.
        """
        if student.dim() == 2 and not self.relational:
            raise ValueError('DISTLoss: `per_image` correlates the pixels of an image, and logits '
                             f'{list(student.shape)} have none')
        student, teacher = ((side / self.temperature).softmax(1) for side in (student, teacher))
        if student.dim() == 2:
            student, teacher = student[..., None], teacher[..., None]
        student, teacher = student.flatten(2), teacher.flatten(2)
        inter = 1 - _correlation(student, teacher, (1,)).flatten(1).mean(1)
        if not self.relational:
            intra = 1 - _correlation(student, teacher, (2,)).flatten(1).mean(1)
        else:
            intra = 1 - _correlation(student, teacher, (0, 2), selected).mean()
            if selected is not None:
                inter, intra = inter.masked_fill(~selected, 0), intra * selected.any()
            inter = mean_of_selected(inter, selected)
        return self.temperature**2 * (self.beta * inter + self.gamma * intra)


def _correlation(one: Tensor, other: Tensor, dims: tuple[int, ...], selected: Tensor | None = None) -> Tensor:
    """Pearson's correlation over some dimensions of ``[B, K, P]``, which are kept with size 1."""
    one, other = _centred(one, dims, selected), _centred(other, dims, selected)
    # The norm of zeros has a zero gradient here, so a class that both networks rule out everywhere gives numbers.
    lengths = vector_norm(one, dim=dims, keepdim=True) * vector_norm(other, dim=dims, keepdim=True)
    return (one * other).sum(dims, keepdim=True) / (lengths + 1e-8)


def _centred(side: Tensor, dims: tuple[int, ...], selected: Tensor | None) -> Tensor:
    """``[B, K, P]`` minus the mean over some dimensions; those of images that are not selected are zero."""
    if selected is None:
        return side - side.mean(dims, keepdim=True)
    others = ~selected[:, None, None]
    count = (selected.sum() * side.shape[2]).clamp(min=1)
    return (side - side.masked_fill(others, 0).sum(dims, keepdim=True) / count).masked_fill(others, 0)
