"""The schedules that stagewise distillation is compared with, as SKD (arXiv 1911.06786) defines them."""

from collections.abc import Sequence
from typing import Any

from skd_mm.registry import RECIPES

from .phase import EVERYTHING, Phase, check_names
from .recipe import Recipe


@RECIPES.register_module()
class NoTeacher(Recipe):
    """The whole student on the task loss alone: ordinary training, in one phase.

    Args:
        **kwargs: As for :class:`Recipe`.
    """

    def build(self, stages: Sequence[str]) -> list[Phase]:
        """One phase without spots."""
        return [self.phase('no_teacher', [EVERYTHING], task=1.0)]


@RECIPES.register_module()
class Simultaneous(Recipe):
    """The whole student on the task loss and all spots at once, in one phase.

    Args:
        spots: The active spots; all by default.
        average: Divide the sum by the number of its terms, ``(task + sum of spots) / (spots + 1)``, as SKD's
            "simultaneous" baseline does (the default). Without it this is SKD's "traditional" baseline for
            segmentation, ``CE + MSE(layer2) + MSE(decoder block 2)``, if ``spots`` names these two.
        **kwargs: As for :class:`Recipe`.
    """

    def __init__(self, spots: Sequence[str] | None = None, average: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spots = spots
        self.average = average

    def build(self, stages: Sequence[str]) -> list[Phase]:
        """One phase with all terms."""
        spots = list(stages[:-1]) if self.spots is None else list(self.spots)
        check_names('spot', spots, stages[:-1], f'{self.where}, `spots`')
        if not spots:
            raise ValueError(f'{self.where}: the model has no spots; name them in `model.spots`')
        weight = 1 / (len(spots) + 1) if self.average else 1.0
        return [self.phase('simultaneous', [EVERYTHING], spots=dict.fromkeys(spots, weight), task=weight)]


@RECIPES.register_module()
class FitNets(Recipe):
    """Hints first, then the rest on the task loss (FitNets, arXiv 1412.6550, as SKD's baselines use it).

    One phase a hint trains everything from the hint before it up to this one on this spot's loss; the last phase
    freezes that and trains the rest on the ground truth. One hint gives the two-step baseline of SKD's classification
    table (hint at ``layer2``), two hints the three-step variant for segmentation (``layer2``, decoder block 2).

    Args:
        hints: Names of the spots, in the order of the forward.
        **kwargs: As for :class:`Recipe`.
    """

    def __init__(self, hints: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hints = [hints] if isinstance(hints, str) else list(hints)

    def build(self, stages: Sequence[str]) -> list[Phase]:
        """One phase a hint and one for the rest."""
        check_names('spot', self.hints, stages[:-1], f'{self.where}, `hints`')
        ends = [stages.index(hint) + 1 for hint in self.hints]
        if not ends or ends != sorted(set(ends)):
            raise ValueError(f'{self.where}: `hints` must name spots in the order of the forward, {list(stages[:-1])}, '
                             f'not {self.hints}')
        starts = [0, *ends[:-1]]
        return [*(self.phase(hint, stages[start:end], spots={hint: 1.0})
                  for hint, start, end in zip(self.hints, starts, ends, strict=True)),
                self.phase(stages[-1], stages[ends[-1]:], task=1.0)]
