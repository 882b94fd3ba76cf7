"""The policy: at which spots a sample is distilled."""

import torch
from torch import Tensor, nn

from skd_mm.registry import MODELS


@MODELS.register_module()
class Policy(nn.Module):
    """One linear layer from both networks' pooled features to a two-way choice at every spot.

    ``soft = softmax((logits + g) / τ)`` with Gumbel noise ``g``, ``hard = onehot(argmax)``, and the gate is the
    teacher's entry of ``(hard - soft).detach() + soft``: 0 or 1 forward, the gradient of ``soft`` backward (the
    straight-through Gumbel-softmax of Jang et al., arXiv 1611.01144, as SAKD, arXiv 2205.02399, uses it). ``τ`` scales
    that gradient and not the odds. All of it is computed in float32, whatever the precision of the networks: the noise
    is worth nothing in half. It comes from PyTorch's global generator.

    Args:
        channels: Channels of both pooled features together.
        spots: Number of spots, that at the logits included.
        tau: The temperature ``τ``. Defaults to 5.
        teacher_bias: Added to the bias of every choice of the teacher. SAKD gives 10 to pairs of networks of one type:
            everything is distilled at first, until weight decay has worn it off (over some 15 epochs there).
            Defaults to 0.
    """

    def __init__(self, channels: int, spots: int, tau: float = 5.0, teacher_bias: float = 0.0) -> None:
        super().__init__()
        self.tau = tau
        self.linear = nn.Linear(channels, 2 * spots)
        with torch.no_grad():
            self.linear.bias[::2] += teacher_bias

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Draw gates.

        Args:
            student: ``[B, C_S]``, the student's pooled feature.
            teacher: ``[B, C_T]``, the teacher's. Neither gets a gradient.

        Returns:
            ``[B, spots]``, 1 if a sample is distilled at a spot, else 0.
        """
        with torch.autocast(student.device.type, enabled=False):
            pooled = torch.cat([teacher, student], dim=1).detach()
            logits = self.linear(pooled.to(self.linear.weight.dtype)).view(len(pooled), -1, 2)
            noise = -torch.empty_like(logits).exponential_().log()
            soft = ((logits + noise) / self.tau).softmax(dim=2)
            hard = torch.nn.functional.one_hot(soft.argmax(dim=2), 2).to(soft)
            return ((hard - soft).detach() + soft)[..., 0]
