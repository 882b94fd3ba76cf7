"""The student continues with the teacher's features instead of its own: all stages are trained at the same time.

A stage then depends on no other stage, as in phases that train one stage each: the earlier stages of the student are
replaced by those of the teacher. DNA (Li et al., arXiv 1911.13053, section 3.2) trains the blocks of candidates so.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from skd_mm.connectors.chain import connected

from .spot import Spot


class ForcedBatch:
    """The teacher's features as inputs of the student's later modules, for one batch.

    Args:
        spots: The spots at whose modules the student's feature is replaced.
    """

    def __init__(self, spots: Sequence[Spot]) -> None:
        self._spots = spots
        self._losses: dict[str, list[Tensor]] = {}

    def __call__(self, targets: Mapping[str, Tensor]) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return what replaces the student's features.

        Args:
            targets: The teacher's features by name, ``[B, ...]``.

        Returns:
            Functions of the student's features, by their names.
        """
        return {str(spot.student): self._replacement(spot, targets[str(spot.teacher)]) for spot in self._spots}

    def _replacement(self, spot: Spot, target: Tensor) -> Callable[[Tensor], Tensor]:

        def replacement(own: Tensor) -> Tensor:
            given = target
            if len(spot.input_connector):
                given, own = connected(spot.input_connector, target, own), own.detach()
                losses = F.mse_loss(given, own, reduction='none').flatten(1).mean(1)
                self._losses.setdefault(spot.name, []).append(losses)
            # The student may change its copy in place; the spot compares the other one.
            return given.detach().to(own.dtype).clone()

        return replacement

    def losses(self) -> dict[str, Tensor]:
        """Return what the input connectors are trained on.

        Returns:
            ``spots.<name>.input.loss``: the mean squared difference between what the connector makes of the teacher's
            feature and the student's own feature, which gets no gradient.
        """
        return {f'spots.{name}.input.loss': torch.cat(parts).mean() for name, parts in self._losses.items()}
