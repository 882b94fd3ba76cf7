"""SKD: Data Efficient Stagewise Knowledge Distillation (arXiv 1911.06786)."""

from collections.abc import Mapping, Sequence
from typing import Any

from skd_mm.registry import RECIPES

from .phase import Phase
from .recipe import Recipe


@RECIPES.register_module()
class Stagewise(Recipe):
    """One phase a stage, from the input to the output, then the task head (SKD, section 1 of its algorithm).

    Phase *k* trains the stage behind spot *k - 1* on the loss of spot *k* alone, without labels; everything before it
    is frozen. The last phase trains the task head on the ground truth alone, without a teacher. Each phase has a
    fresh optimizer and starts from the previous one's best checkpoint.

    Args:
        head: Attributes of the last phase that differ, for example ``dict(train=['decode_head.conv_seg'])``. By
            default it trains all that lies behind the last spot.
        **kwargs: As for :class:`Recipe`.

    Example:
        >>> schedule = dict(type='Stagewise', phase_epochs=50, fraction=0.1)
    """

    def __init__(self, head: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if head:
            self.overrides['task_head'] = {**self.overrides.get('task_head', {}), **head}

    def build(self, stages: Sequence[str]) -> list[Phase]:
        """One phase a stage."""
        if len(stages) < 2:
            raise ValueError(f'{self.where}: the model has no spots to walk along; name them in `model.spots`')
        return [*(self.phase(stage, [stage], spots={stage: 1.0}) for stage in stages[:-1]),
                self.phase(stages[-1], [stages[-1]], task=1.0)]
