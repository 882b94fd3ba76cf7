"""Discriminator of structured knowledge distillation."""

import itertools

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from skd_mm.registry import MODELS

OBJECTIVES = ('hinge', 'wgan-gp')


class SelfAttention(nn.Module):
    """Self-attention over all positions, as in SAGAN (Zhang et al., arXiv 1805.08318, Sec. 3).

    ``y = γ · V softmax(Qᵀ K)ᵀ + x`` with 1×1 convolutions to C / 8 channels for ``Q`` and ``K`` and to C for ``V``, the
    softmax over the keys without scaling, and ``γ`` starting at 0.

    Args:
        channels: ``C``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, max(1, channels // 8), 1)
        self.key = nn.Conv2d(channels, max(1, channels // 8), 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, feature: Tensor) -> Tensor:
        """Add attention to a feature.

        Args:
            feature: ``[B, C, H, W]``.

        Returns:
            The same shape.
        """
        query, key, value = (layer(feature).flatten(2) for layer in (self.query, self.key, self.value))
        # Not PyTorch's fused attention: the gradient penalty is differentiated twice.
        attention = (query.transpose(1, 2) @ key).softmax(2)
        return self.gamma * (value @ attention.transpose(1, 2)).view_as(feature) + feature


@MODELS.register_module()
class HolisticDiscriminator(BaseModule):
    """Discriminator that scores how much a map of raw logits resembles the teacher's, without image and labels.

    BN of the logits → ``depth`` × [4×4 convolution of stride 2 with spectral norm, LeakyReLU(0.1)], of ``channels``,
    twice, four times … as many channels, with self-attention after the last two → 4×4 convolution to one score. Liu et
    al., arXiv 1903.04197, Sec. 3.3, as in the authors' code, which is not conditioned on the image, contrary to the
    text of the paper. The power iteration of spectral norm is PyTorch's.

    The last convolution needs 4 × 4 positions, so the logits must have ``4 · 2^depth`` on each side: 64 with the four
    layers of the published code, whose logits are 65 × 65; use 3 layers for 45 × 45. Smaller maps are zero-padded to
    that size after BN.

    Args:
        num_classes: Number of classes, ``K``; set by the spot.
        channels: Width of the first layer. Defaults to 64.
        depth: Number of layers that halve the resolution. Defaults to 4.
        objective: ``'hinge'``, as in CIRKD's code (arXiv 2204.06986), or ``'wgan-gp'``, the authors' choice, whose
            penalty needs a third pass of the discriminator and is differentiated twice. Defaults to ``'hinge'``.
        penalty: Weight of the gradient penalty of ``'wgan-gp'``. Defaults to 10.

    Raises:
        ValueError: ``depth`` is not positive, or the objective is unknown.

    Example:
        >>> spots = [dict(name='logits', student='decode_head.conv_seg', loss=dict(type='KDLoss', temperature=1),
        ...               discriminator=dict(type='HolisticDiscriminator'))]
        >>> schedule = dict(type='Simultaneous', average=False, spots={'logits': 10, 'logits.discriminator': 0.001})
    """

    conditional = False  # on labels

    def __init__(self, num_classes: int, channels: int = 64, depth: int = 4, objective: str = 'hinge',
                 penalty: float = 10.0) -> None:
        super().__init__()
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
            raise ValueError(f'HolisticDiscriminator: `depth` must be a positive integer, not {depth!r}')
        if objective not in OBJECTIVES:
            raise ValueError(f'HolisticDiscriminator: `objective` must be one of {OBJECTIVES}, not {objective!r}')
        self.objective = objective
        self.penalty = penalty
        self.min_size = 4 * 2**depth
        self.norm = nn.BatchNorm2d(num_classes)
        widths = [num_classes, *(channels * 2**layer for layer in range(depth))]
        layers: list[nn.Module] = []
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
            if layer >= depth - 2:
                layers.append(SelfAttention(after))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))

    def forward(self, logits: Tensor) -> Tensor:
        """Score maps of logits.

        Args:
            logits: ``[B, K, H, W]``.

        Returns:
            ``[B, 1, H', W']``, higher if the logits resemble the teacher's; 1 × 1 for 64 × 64 at ``depth=4``.
        """
        logits = self.norm(logits)
        missing = [max(0, self.min_size - side) for side in logits.shape[2:]]
        if any(missing):
            logits = F.pad(logits, (0, missing[1], 0, missing[0]))
        return self.layers(logits)
