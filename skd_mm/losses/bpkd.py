"""Losses that compare predictions at the edges of objects and within them apart."""

import torch
from torch import Tensor
from torch.nn import functional as F

from skd_mm.registry import LOSSES

from .base import SpotLoss, kl_divergence, require_maps

_CLASSES_AT_ONCE = 8  # edges are found at the labels' resolution, for so many classes in one tensor


@LOSSES.register_module()
class BPKDLoss(SpotLoss):
    """Boundary privileged knowledge distillation (BPKD), **a reconstruction**: edges and bodies of the classes.

    Liu et al., arXiv 2306.08075, Sec. 3. The authors published no training code. This is the paper's loss with the
    details on which independent implementations agree; those disagree on the temperature (1 or 4), so the published
    numbers may not be reproducible with it.

    - **Masks.** The edge of class c is the difference between dilation and erosion of its one-hot map with a square of
      ``kernel_size`` label pixels; the border of the image is no edge. Averaged over the pixels of each position of the
      logits, it is the soft mask ``E_c`` in [0, 1]. The body is ``B_c = 1 - E_c``. Positions count in both only with
      the share of their pixels that is labelled.
    - **Edge.** With ``k = T^2 · KL(softmax(z_T ⊙ E / T) || softmax(z_S ⊙ E / T))`` over the classes at each position:
      ``L_E = α · Σ_c [Σ_hw E_c k / n_c]``, ``n_c`` the number of positions with ``E_c > 0``. Every class that has an
      edge weighs the same; one that has none adds zero.
    - **Body.** The channel-wise distillation (:class:`CWDLoss`) of ``z ⊙ B``.

    ``L_b = edge · L_E + body · L_B``. The masks multiply the logits; masked logits are zero, not absent, and take part
    in the softmax. Without labels there are no edges and ``L_B`` is the CWD loss of the whole map.

    Args:
        edge: Weight of ``L_E``. Defaults to 50.
        body: Weight of ``L_B``. Defaults to 20.
        alpha: The factor ``α``. Defaults to 2.
        temperature: ``T``. Defaults to 1.
        kernel_size: Side of the square in label pixels, odd. Defaults to 7.
        ignore_index: The label of pixels that do not count. Defaults to 255.

    Raises:
        ValueError: The temperature is not positive, or the kernel's size even.

    Example:
        >>> spots = [dict(student='decode_head.conv_seg', loss=dict(type='BPKDLoss'))]
    """

    needs = ('labels',)

    def __init__(self, edge: float = 50.0, body: float = 20.0, alpha: float = 2.0, temperature: float = 1.0,
                 kernel_size: int = 7, ignore_index: int = 255) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'BPKDLoss: `temperature` must be positive, not {temperature!r}')
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f'BPKDLoss: `kernel_size` must be odd and positive, not {kernel_size!r}')
        self.edge = edge
        self.body = body
        self.alpha = alpha
        self.temperature = temperature
        self.kernel_size = kernel_size
        self.ignore_index = ignore_index

    def compare(self, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
        """Compare two predictions.

        Args:
            student: Logits ``[B, K, H, W]``.
            teacher: The same.
            labels: The ground truth, ``[B, H', W']``, at its full resolution.

        Returns:
            ``[B]``.

        Raises:
            ValueError: They are not maps of one resolution.
        """
        require_maps('BPKDLoss', student, teacher)
        if labels is None or labels.dim() == 1:
            return self.body * self._body_loss(student, teacher)
        edges, valid = self._masks(labels, student)
        bodies = (1 - edges) * valid
        edges = edges * valid
        return (self.edge * self._edge_loss(student * edges, teacher * edges, edges)
                + self.body * self._body_loss(student * bodies, teacher * bodies))

    def _body_loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        return kl_divergence(student.flatten(2), teacher.flatten(2), self.temperature, dim=2).mean(1)

    def _edge_loss(self, student: Tensor, teacher: Tensor, edges: Tensor) -> Tensor:
        divergence = kl_divergence(student, teacher, self.temperature, dim=1)
        sums = (divergence[:, None] * edges).flatten(2).sum(2)
        counts = (edges > 0).flatten(2).sum(2).clamp(min=1)
        return self.alpha * (sums / counts).sum(1)

    @torch.no_grad()
    def _masks(self, labels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Labels ``[B, H', W']`` to edges ``[B, K, H, W]`` and the labelled share ``[B, 1, H, W]``, like the logits."""
        count, size = logits.shape[1], (logits.shape[2], logits.shape[3])
        valid = (labels != self.ignore_index) & (labels >= 0) & (labels < count)
        labels = labels.masked_fill(~valid, -1)[:, None]
        classes = torch.arange(count, device=labels.device)
        edges = [class_edges((labels == some.view(1, -1, 1, 1)).to(logits.dtype), self.kernel_size, size)
                 for some in classes.split(_CLASSES_AT_ONCE)]
        return torch.cat(edges, dim=1), F.adaptive_avg_pool2d(valid[:, None].to(logits.dtype), size)


def class_edges(members: Tensor, kernel_size: int, size: tuple[int, int]) -> Tensor:
    """Return where the edges of classes are: dilation minus erosion, averaged to a resolution.

    Args:
        members: ``[B, K, H, W]`` of ones and zeros, the pixels of each class.
        kernel_size: Side of the square that dilates and erodes, odd.
        size: Height and width of the result.

    Returns:
        ``[B, K, *size]`` in [0, 1].
    """
    edges = _largest(members, kernel_size) + _largest(-members, kernel_size)
    return F.adaptive_avg_pool2d(edges, size)


def _largest(maps: Tensor, side: int) -> Tensor:
    """Return the maximum in the square around each pixel, within the image."""
    # One axis after the other: 2 · side comparisons instead of side squared.
    return F.max_pool2d(F.max_pool2d(maps, (side, 1), 1, (side // 2, 0)), (1, side), 1, (0, side // 2))
