"""Stage by stage: SKD (arXiv 1911.06786) and SSKD (arXiv 1812.01819)."""

from collections.abc import Mapping, Sequence
from typing import Any

from skd_mm.registry import RECIPES

from .outline import StageOutline, names_of
from .phase import Phase
from .recipe import Recipe


@RECIPES.register_module()
class Stagewise(Recipe):
    """One phase per stage, from the input to the output, then the task head (SKD, section 1 of its algorithm).

    Phase *k* trains stage *k* on the losses of its spots alone, without labels; all earlier stages are
    frozen. The last phase trains the task head on the ground truth alone, without a teacher. Each phase has a
    fresh optimizer and starts from the previous one's best checkpoint.

    Args:
        head: Attributes of the last phase that differ, for example ``dict(train=['decode_head.conv_seg'])``. By
            default, it trains everything after the last spot.
        head_spots: Spots of the last phase alone, names or a dict of names and weights: they get no phase of their own
            and are active next to the ground truth. A stage that has no other spots is trained in the next phase.
            Defaults to none.
        **kwargs: As for :class:`Recipe`.

    Example:
        >>> schedule = dict(type='Stagewise', phase_epochs=50, fraction=0.1)
        >>> then_all = dict(type='Stagewise', phase_epochs=50, head_spots=['cwd'], head=dict(train=['all']))
    """

    def __init__(self, head: Mapping[str, Any] | None = None,
                 head_spots: Sequence[str] | Mapping[str, float] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.head_spots = head_spots
        if head:
            self.overrides['task_head'] = {**self.overrides.get('task_head', {}), **head}

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase per stage."""
        phases, waiting = [], []
        for stage in stages[:-1]:
            own = {name: weight for name, weight in stage.weights.items() if name not in self.head_spots}
            waiting.append(stage.name)
            if own:
                phases.append(self.phase(stage.name, waiting, spots=own))
                waiting = []
        if not phases:
            raise ValueError(f'{self.where}: the model has no spots to walk along; name them in `model.spots`')
        head = stages[-1].name
        return [*phases, self.phase(head, [*waiting, head], spots=self.head_spots, task=1.0)]


@RECIPES.register_module()
class BackboneFirst(Recipe):
    """The backbone stage by stage, then everything else on the task loss (SSKD, arXiv 1812.01819).

    Phase *k* trains the backbone's stage *k* and its connectors on the losses of its spots alone, without labels; all
    earlier stages are frozen. The last phase freezes the backbone and trains everything after it on the ground truth
    alone. Spots outside the backbone are not used. The paper does not specify all settings; ours are called "SSKD, our
    settings".

    Args:
        head: Attributes of the last phase that differ.
        **kwargs: As for :class:`Recipe`.

    Example:
        >>> schedule = dict(type='BackboneFirst', phase_epochs=50)
    """

    def __init__(self, head: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if head:
            self.overrides['task_head'] = {**self.overrides.get('task_head', {}), **head}

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase per stage of the backbone, and one for the rest."""
        backbone = [stage for stage in stages[:-1] if stage.in_backbone]
        if not backbone:
            raise ValueError(f"{self.where}: the model has no spot in its backbone; `model.spots='backbone'` puts one "
                             'at the end of each of its stages')
        return [*(self.phase(stage.name, [stage.name], spots=stage.weights) for stage in backbone),
                self.phase(stages[-1].name, names_of(stages[len(backbone):]), task=1.0)]
