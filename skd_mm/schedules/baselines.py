"""The schedules that stagewise distillation is compared with, as SKD (arXiv 1911.06786) defines them."""

from collections.abc import Mapping, Sequence
from typing import Any

from skd_mm.registry import RECIPES
from skd_mm.utils.names import ALL

from .outline import StageOutline, names_of, spots_of
from .phase import Phase, check_names
from .recipe import Recipe


@RECIPES.register_module()
class NoTeacher(Recipe):
    """The whole student on the task loss alone: ordinary training, in one phase.

    Args:
        **kwargs: As for :class:`Recipe`.
    """

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase without spots."""
        return [self.phase('no_teacher', [ALL], task=1.0)]


@RECIPES.register_module()
class Simultaneous(Recipe):
    """The whole student on the task loss and all spots at once, in one phase.

    Every method that trains in a single phase is this with other spots and weights: SKD's "simultaneous" baseline,
    Hinton's knowledge distillation (one spot at the logits), attention transfer, and what SAKD calls "standard".

    Args:
        spots: The active spots, or a dict of them and the weights of their losses; all with weight 1 by default. The
            discriminator of a spot is active if it is named: ``'<spot>.discriminator'``.
        task: The weight of the task loss. Defaults to 1.
        average: Divide the sum by the number of its terms, ``(task + sum of spots) / (spots + 1)``, as SKD's
            "simultaneous" and "attention transfer" baselines do (the default). Without it this is SKD's "traditional"
            baseline for segmentation, ``CE + MSE(layer2) + MSE(decoder block 2)``, if ``spots`` names these two.
        prepare: A phase before it, named ``prepare``, that trains the teacher's connectors of some spots alone
            (factor transfer's paraphraser): ``dict(spots=['ft.teacher'], epochs=30)`` with any attribute
            of :class:`Phase`. None by default.
        **kwargs: As for :class:`Recipe`.

    Example:
        >>> schedule = dict(type='Simultaneous', phase_epochs=100, spots={'head.fc': 0.8}, task=0.2, average=False)
    """

    def __init__(self, spots: Sequence[str] | Mapping[str, float] | None = None, task: float = 1.0,
                 average: bool = True, prepare: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spots = spots
        self.task = task
        self.average = average
        check_names('setting', list(prepare or {}), Phase.settings(), f'{self.where}, `prepare`')
        self.prepare = dict(prepare) if prepare else None

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase with all terms."""
        known = spots_of(stages)
        spots = known if self.spots is None else self.spots
        weights = dict(spots) if isinstance(spots, Mapping) else dict.fromkeys(spots, 1.0)
        # Whether a spot has a discriminator, the distiller knows.
        check_names('spot', [name.removesuffix('.discriminator') for name in weights], known, f'{self.where}, `spots`')
        if not weights:
            raise ValueError(f'{self.where}: the model has no spots; name them in `model.spots`')
        share = 1 / (len(weights) + 1) if self.average else 1.0
        before = [self.phase(**{'name': 'prepare', 'train': [], **self.prepare})] if self.prepare else []
        return [*before, self.phase('simultaneous', [ALL], task=share * self.task,
                                    spots={name: share * weight for name, weight in weights.items()})]


@RECIPES.register_module()
class FitNets(Recipe):
    """Hints first, then the rest on the task loss (FitNets, arXiv 1412.6550, as SKD's baselines use it).

    One phase per hint trains everything from the previous hint up to this one on this spot's loss. The last phase
    freezes these parts and trains the rest on the ground truth. One hint gives the two-step baseline of SKD's
    classification table (hint at ``layer2``), two hints the three-step variant for segmentation (``layer2``, decoder
    block 2).

    Args:
        hints: Names of the spots, in the order of the forward pass.
        **kwargs: As for :class:`Recipe`.
    """

    def __init__(self, hints: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hints = [hints] if isinstance(hints, str) else list(hints)

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase per hint and one for the rest."""
        known = spots_of(stages)
        check_names('spot', self.hints, known, f'{self.where}, `hints`')
        ends = [next(k for k, stage in enumerate(stages, 1) if hint in stage.spots) for hint in self.hints]
        if not ends or ends != sorted(set(ends)):
            raise ValueError(f'{self.where}: `hints` must name spots in the order of the forward pass, {known}, '
                             f'not {self.hints}')
        starts = [0, *ends[:-1]]
        return [*(self.phase(hint, names_of(stages[start:end]), spots={hint: 1.0})
                  for hint, start, end in zip(self.hints, starts, ends, strict=True)),
                self.phase(stages[-1].name, names_of(stages[ends[-1]:]), task=1.0)]
