"""The adversarial term of a spot: a discriminator, its loss and the student's loss."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from skd_mm.losses import Feature
from skd_mm.losses.adversarial import generator_loss, gradient_penalty, hinge_loss, wasserstein_loss
from skd_mm.losses.base import mean_of_valid, resize_labels, upcast

from .spot import Modules, Spot


class DiscriminatorInput(NamedTuple):
    """Input of a discriminator.

    Attributes:
        student: ``[B, K]`` or ``[B, K, H, W]``, the student's prediction, with its graph; ``[B, K, P]`` for a
            subset of the pixels.
        teacher: The same of the teacher.
        labels: ``[B]``, ``[B, H, W]`` or ``[B, P]``; None for a discriminator that does not know them.
        valid: The same shape; False for pixels that do not count.
    """

    student: Tensor
    teacher: Tensor
    labels: Tensor | None = None
    valid: Tensor | None = None


class Adversary:
    """The adversarial term of a spot: the student is trained to predict what the discriminator takes for the teacher's.

    With ``D`` the log-odds for the teacher, ``p`` predictions softened at the temperature of the spot's loss:
    ``L_S = softplus(-D(p_S, y))`` for the student and ``L_D = softplus(-D(p_T, y)) + softplus(D(p_S, y))`` for the
    discriminator. LW-KD (arXiv 2005.09163) has an adversarial loss; its form is our own design. All of it is
    computed in float32.

    Args:
        spot: A spot with a discriminator. It owns the parameters.
    """

    def __init__(self, spot: Spot) -> None:
        self.name = f'{spot.name}.discriminator'
        self.spot = spot
        self.student: Modules = spot.student
        self.teacher: Modules = spot.teacher
        self.needs = {'labels'}
        self.weight = 1.0
        self.temperature = float(getattr(spot.loss, 'temperature', 1.0))
        index = getattr(spot.loss, 'ignore_index', 255)
        self.ignore_index = 255 if index is None else int(index)
        self.pixels: int | None = getattr(spot.discriminator, 'pixels', None)
        self.arrange = spot.arrange

    @property
    def discriminator(self) -> nn.Module:
        """The network."""
        assert self.spot.discriminator is not None
        return self.spot.discriminator

    def enable_grad(self) -> None:
        """Enable gradients of the parameters that are trained if this is active."""
        self.discriminator.requires_grad_(True)

    def case(self, student: Feature, teacher: Feature, context: Mapping[str, Tensor]) -> DiscriminatorInput:
        """Make predictions of logits.

        Args:
            student: ``[B, K]`` or ``[B, K, H, W]``, the student's logits.
            teacher: The same of the teacher.
            context: With ``labels``, ``[B]`` or ``[B, H', W']``.

        Returns:
            What is to be judged.

        Raises:
            ValueError: There are no labels.
        """
        labels = context.get('labels')
        if labels is None:
            raise ValueError(f'spot {self.name!r}: a discriminator needs one label, or map of labels, an image')
        sides: Any = self.spot.connect(student, teacher)
        valid = torch.ones_like(labels, dtype=torch.bool)
        if labels.dim() > 1:
            labels = resize_labels(labels, sides[0].shape[2:])
            valid = labels != self.ignore_index
            labels = labels.masked_fill(~valid, 0)
            if self.pixels is not None:
                sides, labels, valid = _drawn(self.pixels, sides, labels.flatten(1), valid.flatten(1))
        with torch.autocast(labels.device.type, enabled=False):
            mine, theirs = ((upcast(side) / self.temperature).softmax(1) for side in sides)
        return DiscriminatorInput(mine, theirs, labels, valid)

    def discriminator_loss(self, case: DiscriminatorInput) -> Tensor:
        """``L_D``, ``[B]``; the student gets no gradient."""
        assert case.labels is not None and case.valid is not None
        with torch.autocast(case.student.device.type, enabled=False):
            both = torch.cat([case.teacher.detach(), case.student.detach()])
            teacher, student = self.discriminator(both, torch.cat([case.labels] * 2)).chunk(2)
            return mean_of_valid(F.softplus(-teacher) + F.softplus(student), case.valid)

    def generator_loss(self, case: DiscriminatorInput) -> Tensor:
        """``L_S``, ``[B]``; the discriminator gets no gradient."""
        assert case.labels is not None and case.valid is not None
        with torch.autocast(case.student.device.type, enabled=False):
            return mean_of_valid(F.softplus(-self._fixed(case.student, case.labels)), case.valid)

    def _fixed(self, *inputs: Tensor) -> Tensor:
        """Return the output of the discriminator, with gradients for its inputs only."""
        fixed = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        return functional_call(self.discriminator, fixed, inputs)


class LogitAdversary(Adversary):
    """The same with a discriminator that sees maps of raw logits and no labels, such as SKDS' holistic term.

    ``L_S = -mean D(z_S)`` for the student. For the discriminator, depending on its ``objective``,
    ``mean max(0, 1 - D(z_T)) + mean max(0, 1 + D(z_S))`` (``'hinge'``) or ``mean D(z_S) - mean D(z_T)`` and the
    gradient penalty times its ``penalty`` (``'wgan-gp'``). Liu et al., arXiv 1903.04197, Sec. 3.3. All pixels count.
    The logits of each network are judged in a pass of their own, as BN in the discriminator normalises each. The
    authors train the student first and then the discriminator; here it is the other way round.

    Args:
        spot: A spot with a discriminator that has ``objective`` and ``penalty``. It owns the parameters.
    """

    def __init__(self, spot: Spot) -> None:
        super().__init__(spot)
        self.needs = set()

    def case(self, student: Feature, teacher: Feature, context: Mapping[str, Tensor]) -> DiscriminatorInput:
        """Bring logits together.

        Args:
            student: ``[B, K, H, W]``, the student's logits.
            teacher: The same of the teacher.
            context: Not used.

        Returns:
            What is to be judged.
        """
        sides: Any = self.spot.connect(student, teacher)
        return DiscriminatorInput(*(upcast(side) for side in sides))

    def discriminator_loss(self, case: DiscriminatorInput) -> Tensor:
        """``L_D``, ``[B]``; the student gets no gradient."""
        network: Any = self.discriminator
        with torch.autocast(case.student.device.type, enabled=False):
            student, teacher = network(case.student.detach()), network(case.teacher.detach())
            if network.objective == 'hinge':
                return hinge_loss(student, teacher)
            penalty = gradient_penalty(network, case.student, case.teacher)
            return wasserstein_loss(student, teacher) + network.penalty * penalty

    def generator_loss(self, case: DiscriminatorInput) -> Tensor:
        """``L_S``, ``[B]``; the discriminator gets no gradient."""
        with torch.autocast(case.student.device.type, enabled=False):
            return generator_loss(self._fixed(case.student))


def build_adversary(spot: Spot) -> Adversary:
    """Return the other half of a spot with a discriminator.

    Args:
        spot: The spot.

    Returns:
        One with labels, unless the discriminator has ``conditional = False``.
    """
    return Adversary(spot) if getattr(spot.discriminator, 'conditional', True) else LogitAdversary(spot)


def _drawn(count: int, sides: Sequence[Tensor], labels: Tensor, valid: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
    """As many pixels of each image, each as likely as any other that is valid; a mean over them is unbiased."""
    # An image without a valid pixel gives some that are not, and so nothing.
    chances = valid.float() + (~valid.any(1, keepdim=True)).float()
    chosen = torch.multinomial(chances, count, replacement=True)
    return ([side.flatten(2).gather(2, chosen[:, None].expand(-1, side.shape[1], -1)) for side in sides],
            labels.gather(1, chosen), valid.gather(1, chosen))


class Discriminators(nn.Module):
    """The trained discriminators of a phase, as one model with its own optimizer and data-parallel wrapper.

    Args:
        adversaries: Those that are active.
    """

    def __init__(self, adversaries: list[Adversary]) -> None:
        super().__init__()
        self.adversaries = adversaries
        self.discriminators = nn.ModuleList(adversary.discriminator for adversary in adversaries)

    def forward(self, cases: list[DiscriminatorInput]) -> dict[str, Tensor]:
        """Return the losses of the discriminators.

        Args:
            cases: One for each.

        Returns:
            Their ``L_D`` as ``spots.<name>.discriminator_loss``, scalars.
        """
        return {f'spots.{adversary.name}.discriminator_loss': adversary.discriminator_loss(case).mean()
                for adversary, case in zip(self.adversaries, cases, strict=True)}
