"""Discriminator of LW-KD."""

import itertools
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from skd_mm.registry import MODELS


@MODELS.register_module()
class LabelDiscriminator(BaseModule):
    """Discriminator of the teacher's and the student's softened predictions, given the label.

    ``[softmax of K classes, embedding of the label]`` → 256 → 128 → 1, with LeakyReLU(0.2) and spectral norm, without
    BN. LW-KD's abstract (arXiv 2005.09163) names an adversarial loss that "makes the student's output indistinguishable
    from the teacher's"; this network is our own design. In dense predictions, the layers act on each position
    separately, as 1×1 convolutions do.

    Args:
        num_classes: Number of classes, ``K``; set by the spot.
        embedding: Length of the label's embedding. Defaults to 64.
        channels: Widths of the hidden layers. Defaults to (256, 128).
        pixels: Number of pixels per image, sampled in each step from those with a label. Defaults to None, all of them,
            which costs many times as much as a small student.

    Raises:
        ValueError: ``pixels`` is not a positive integer.
    """

    def __init__(self, num_classes: int, embedding: int = 64, channels: Sequence[int] = (256, 128),
                 pixels: int | None = None) -> None:
        super().__init__()
        if pixels is not None and (isinstance(pixels, bool) or not isinstance(pixels, int) or pixels < 1):
            raise ValueError(f'LabelDiscriminator: `pixels` must be a positive integer, not {pixels!r}')
        self.pixels = pixels
        self.embedding = nn.Embedding(num_classes, embedding)
        self.layers = nn.Sequential()
        for before, after in itertools.pairwise([num_classes + embedding, *channels]):
            self.layers.extend([spectral_norm(nn.Linear(before, after)), nn.LeakyReLU(0.2)])
        self.layers.append(spectral_norm(nn.Linear(channels[-1], 1)))

    def forward(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """Score predictions.

        Args:
            probabilities: ``[B, K]``, ``[B, K, H, W]``, or ``[B, K, P]`` of sampled pixels.
            labels: Class indices, ``[B]``, ``[B, H, W]`` or ``[B, P]``.

        Returns:
            The log-odds that a prediction is the teacher's, in the shape of the labels.
        """
        features = torch.cat([probabilities.movedim(1, -1), self.embedding(labels)], dim=-1)
        return self.layers(features).squeeze(-1)
