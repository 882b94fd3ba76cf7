"""What a discriminator without labels and a student are trained on, as functions of the discriminator's scores."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn import functional as F


def generator_loss(student: Tensor) -> Tensor:
    """Return what the student minimises: ``-mean D(z_S)``, with either discriminator loss.

    Args:
        student: Scores ``[B, 1, H, W]`` of the student's logits.

    Returns:
        ``[B]``.
    """
    return -student.flatten(1).mean(1)


def hinge_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the hinge loss of a discriminator: ``mean max(0, 1 - D(z_T)) + mean max(0, 1 + D(z_S))``.

    Args:
        student: Scores ``[B, 1, H, W]`` of the student's logits.
        teacher: The same of the teacher's.

    Returns:
        ``[B]``.
    """
    return F.relu(1 - teacher).flatten(1).mean(1) + F.relu(1 + student).flatten(1).mean(1)


def wasserstein_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the Wasserstein loss of a critic: ``mean D(z_S) - mean D(z_T)``.

    Args:
        student: Scores ``[B, 1, H, W]`` of the student's logits.
        teacher: The same of the teacher's.

    Returns:
        ``[B]``.
    """
    return student.flatten(1).mean(1) - teacher.flatten(1).mean(1)


def gradient_penalty(critic: Callable[[Tensor], Tensor], student: Tensor, teacher: Tensor) -> Tensor:
    """Return ``(|∇ D(x)| - 1)^2`` at ``x = α z_T + (1 - α) z_S``, with one ``α`` in [0, 1] drawn per image.

    Gulrajani et al., arXiv 1704.00028, Eq. 3. ``D(x)`` is the sum of an image's scores; the penalty is to be
    differentiated by the critic's parameters, that is twice.

    Args:
        critic: The discriminator.
        student: ``[B, K, H, W]``, the student's logits; no gradient reaches them.
        teacher: ``[B, K, H, W]``, the teacher's.

    Returns:
        ``[B]``.
    """
    mix = torch.rand(len(student), 1, 1, 1, dtype=student.dtype, device=student.device)
    with torch.enable_grad():
        between = (mix * teacher.detach() + (1 - mix) * student.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (vector_norm(gradient.flatten(1), dim=1) - 1).square()
