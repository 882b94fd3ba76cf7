"""Connectors that retrieve one network's feature by attention."""

import torch
from torch import Tensor, nn

from skd_mm.registry import CONNECTORS


@CONNECTORS.register_module()
class QueryAttention(nn.Module):
    """Query-based soft distillation (QSD): the teacher's map as values that the student retrieves by attention.

    At each image, with P positions as rows, the student's feature ``f_S`` (P × D) and the teacher's ``f_T`` (P × D'):
    ``out = softmax(q f_Tᵀ) v`` with ``q = LN(f_S) W_q + b_q`` and ``v = LN(f_S) W_v + b_v``, both P × D', and a softmax
    over the teacher's positions without ``1/√D'``. With ``MSELoss`` between ``out`` and ``f_T`` this is the loss of Lv
    et al., GKD, arXiv 2603.02554, for patch tokens.

    It is a reconstruction from a description: one layer norm serves both ``q`` and ``v``, and the terms for the class
    token and for masked patches are left out. There is one head. The keys are the teacher's feature before
    ``teacher_connector``.

    The attention of an image has ``P^2`` entries, computed in float32: 9 MiB at 34 × 46 positions. Trained together
    with its spot, and dropped on export.

    Args:
        in_channels: ``D``, channels of the feature it is given; filled in by the distiller.
        out_channels: ``D'``, channels of the feature on the other side; filled in by the distiller.

    Example:
        >>> spots = [dict(student='backbone.layer4', teacher='backbone[0]',
        ...               connector=[dict(type='Resize'), dict(type='QueryAttention')])]
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(in_channels)
        self.query = nn.Linear(in_channels, out_channels)
        self.value = nn.Linear(in_channels, out_channels)

    def forward(self, feature: Tensor, reference: Tensor) -> Tensor:
        """Retrieve the reference.

        Args:
            feature: ``[B, in_channels, H, W]``.
            reference: ``[B, out_channels, H, W]``, the feature on the other side, whose values are the keys.

        Returns:
            ``[B, out_channels, H, W]`` in at least float32.

        Raises:
            ValueError: They are not maps of one resolution.
        """
        if feature.dim() != 4 or reference.dim() != 4 or feature.shape[2:] != reference.shape[2:]:
            raise ValueError(f'QueryAttention takes feature maps of the same resolution, not {list(feature.shape)} and '
                             f"{list(reference.shape)}: put dict(type='Resize') before it")
        with torch.autocast(feature.device.type, enabled=False):
            tokens = self.norm(feature.flatten(2).transpose(1, 2).to(self.norm.weight.dtype))  # [B, P, D]
            precision = torch.promote_types(tokens.dtype, torch.float32)
            query, value = self.query(tokens).to(precision), self.value(tokens).to(precision)
            attention = (query @ reference.flatten(2).to(precision)).softmax(2)  # [B, P, P]
            return (attention @ value).transpose(1, 2).unflatten(2, feature.shape[2:])
