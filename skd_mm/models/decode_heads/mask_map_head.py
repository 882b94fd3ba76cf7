"""Mask2Former's head with a map of class scores."""

from typing import Any

import torch
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from skd_mm.registry import MODELS

# A score of 0 has no logarithm.
_MIN_SCORE = 1e-6


@MODELS.register_module()
class MaskMapHead(Mask2FormerHead):
    """The head of Mask2Former, which also composes its masks to a map: a teacher of logits for any segmentor.

    The module ``class_map`` returns the logarithm of the scores that the head predicts with,
    ``Σ_q softmax(class_q)_k · sigmoid(mask_q)`` for class ``k``, without the class for no object (Cheng et al., arXiv
    2112.01527). Their softmax over the classes is the share of each class, so that they are compared at temperature 1.
    Weights, training and predictions are those of mmsegmentation's ``Mask2FormerHead``; it needs mmdetection.

    Args:
        **kwargs: As for ``Mask2FormerHead``.

    Example:
        >>> teacher = dict(cfg='mmseg::mask2former/mask2former_swin-t_8xb2-90k_cityscapes-512x1024.py',
        ...                options={'model.decode_head.type': 'skd_mm.MaskMapHead'})
        >>> spot = dict(student='decode_head.conv_seg', teacher='decode_head.class_map',
        ...             teacher_connector=dict(type='Resize'), loss=dict(type='KDLoss', temperature=1))
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_map = nn.Identity()

    def forward(self, x: list[Tensor], batch_data_samples: list[Any] | None = None) -> Any:
        """Run the head.

        Args:
            x: The features of the backbone, each ``[B, C, H, W]``.
            batch_data_samples: One per image; None for the map.

        Returns:
            With data samples the scores and the masks of the queries after each decoder layer; without, the map
            ``[B, K, H, W]`` at the resolution of the masks.
        """
        if batch_data_samples is not None:
            return super().forward(x, batch_data_samples)
        classes, masks = super().forward(x, [SegDataSample() for _ in x[0]])
        shares = classes[-1].softmax(-1)[..., :-1]
        scores = torch.einsum('bqk,bqhw->bkhw', shares, masks[-1].sigmoid())
        return self.class_map(scores.clamp(min=_MIN_SCORE).log())
