"""The discriminator of LW-KD."""

import itertools
from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from skd_mm.registry import MODELS


@MODELS.register_module()
class LabelDiscriminator(BaseModule):
    """Tells a teacher's softened prediction from a student's, knowing the label.

    ``[softmax of K classes, embedding of the label]`` → 256 → 128 → 1, with LeakyReLU(0.2) and spectral norm, without
    BN. LW-KD's abstract (arXiv 2005.09163) names an adversarial loss that "makes the student's output indistinguishable
    from the teacher's"; this network is this project's design. The layers act on each position of dense predictions by
    itself, as 1×1 convolutions do.

    Args:
        num_classes: How many classes, ``K``; filled in by the spot.
        embedding: Length of the label's embedding. Defaults to 64.
        channels: Widths of the hidden layers. Defaults to 256 and 128.
        pixels: How many pixels of an image are judged in a step, drawn anew each time from those with a label. Judging
            all of them, which is the default, takes many times what a small network does.

    Raises:
        ValueError: ``pixels`` is no whole number from 1 on.
    """

    def __init__(self, num_classes: int, embedding: int = 64, channels: Sequence[int] = (256, 128),
                 pixels: int | None = None) -> None:
        super().__init__()
        if pixels is not None and (isinstance(pixels, bool) or not isinstance(pixels, int) or pixels < 1):
            raise ValueError(f'LabelDiscriminator: `pixels` must be a whole number from 1 on, not {pixels!r}')
        self.pixels = pixels
        self.embedding = nn.Embedding(num_classes, embedding)
        hidden = [layer for before, after in itertools.pairwise([num_classes + embedding, *channels])
                  for layer in (spectral_norm(nn.Linear(before, after)), nn.LeakyReLU(0.2))]
        self.layers = nn.Sequential(*hidden, spectral_norm(nn.Linear(channels[-1], 1)))

    def forward(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """Discriminators predictions.

        Args:
            probabilities: ``[B, K]``, or ``[B, K, H, W]``, or ``[B, K, P]`` of chosen pixels.
            labels: ``[B]``, ``[B, H, W]`` or ``[B, P]``, classes from 0 on.

        Returns:
            The log-odds that a prediction is the teacher's, in the shape of the labels.
        """
        known = torch.cat([probabilities.movedim(1, -1), self.embedding(labels)], dim=-1)
        return self.layers(known).squeeze(-1)
