"""Outline of a student for recipes: its stages and their spots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StageOutline:
    """A stage of the student, as a recipe sees it.

    Attributes:
        name: Its name: that of its spot, of the module at its end if several spots are there, or ``'task_head'``.
        spots: The names of the spots at its end; none for the task head.
        module: The name of the student's module at its end; empty for the task head.
    """

    name: str
    spots: tuple[str, ...] = ()
    module: str = ''

    @property
    def in_backbone(self) -> bool:
        """Whether it ends in the backbone (``backbone``, ``backbone.layer1`` or ``backbone[0]``)."""
        return self.module.partition('.')[0].partition('[')[0] == 'backbone'

    @property
    def weights(self) -> dict[str, float]:
        """All its spots with weight 1."""
        return dict.fromkeys(self.spots, 1.0)


def outlined(stages: Sequence[str | Mapping[str, Any] | StageOutline]) -> list[StageOutline]:
    """Complete the stages of a student.

    Args:
        stages: The stages in the order of the forward pass, the task head last. A mapping has the attributes of
            :class:`StageOutline`; a name stands for a stage with one spot of that name at a module of that name.

    Returns:
        The stages.
    """
    full = []
    for i, stage in enumerate(stages):
        if isinstance(stage, StageOutline):
            full.append(stage)
        elif isinstance(stage, Mapping):
            full.append(StageOutline(**stage))
        elif i + 1 == len(stages):
            full.append(StageOutline(stage))
        else:
            full.append(StageOutline(stage, (stage, ), stage))
    return full


def names_of(stages: Sequence[StageOutline]) -> list[str]:
    """Return the names of stages."""
    return [stage.name for stage in stages]


def spots_of(stages: Sequence[StageOutline]) -> list[str]:
    """Return the names of all spots at stages, in order."""
    return [spot for stage in stages for spot in stage.spots]
