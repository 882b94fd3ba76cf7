"""Reconstruction of a changed network, stage by stage and without labels."""

from collections.abc import Sequence

from skd_mm.registry import RECIPES

from .outline import StageOutline
from .phase import Phase
from .recipe import Recipe


@RECIPES.register_module()
class StagewiseReconstruction(Recipe):
    """One phase per stage with a spot, from the input to the output; no phase sees a label.

    For a student that is a quantised or pruned copy of its teacher, as BRECQ (arXiv 2102.05426, section 3) reconstructs
    the blocks of a network with the squared error at their outputs. A last spot at the logits makes the head a stage,
    too. What follows the last spot is not trained.

    Args:
        **kwargs: As for :class:`Recipe`.

    Example:
        >>> schedule = dict(type='StagewiseReconstruction', phase_iters=200, fraction=0.1)
    """

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase per stage."""
        if len(stages) < 2:
            raise ValueError(f'{self.where}: the model has no spots to walk along; name them in `model.spots`')
        return [self.phase(stage.name, [stage.name], spots=stage.weights) for stage in stages[:-1]]
