"""Features, soft labels and ground truth together, with weights and data that change from phase to phase."""

from collections.abc import Sequence
from typing import Any

from skd_mm.registry import RECIPES

from .outline import StageOutline, names_of, spots_of
from .phase import Phase, check_names
from .recipe import Recipe

Ramp = float | Sequence[float]
"""One value for all phases, two for the first and the last phase and a line between them, or one for each phase."""


@RECIPES.register_module()
class Progressive(Recipe):
    """One phase per stage, each with a mixture of the stage's spot, soft labels and the ground truth; not from a paper.

    Phase *k* trains stage *k* and, if its loss includes soft labels or the ground truth, all later stages. Earlier
    stages are frozen. Its loss is ``spot_k · MSE(spot k) + soft_k · KL(logits) + task_k · CE`` (or the
    losses of the spots). The last phase trains everything after the last stage. The weights and the fraction of the
    images may differ between phases.

    With ``spot=1``, ``soft_labels=0`` and ``task=[0, …, 0, 1]`` it is :class:`Stagewise`.

    Args:
        logits: Name of the last spot, which compares the logits; its loss should be a ``KDLoss``, which has the
            temperature.
        spot: Weight of the loss at the stage's spot: one number for all phases; a list of two numbers for the first
            and the last phase, with linear interpolation; or a list of one number per phase. Defaults to 1.
        soft_labels: The same for the loss at the logits. Defaults to (0, 1).
        task: The same for the task loss. Defaults to (0, 1).
        fraction: The same for the fraction of the training images, in (0, 1]. Defaults to 1.
        **kwargs: As for :class:`Recipe`.

    Raises:
        ValueError: A list fits no phases, a weight is negative, or ``logits`` is not the last spot.

    Example:
        >>> schedule = dict(type='Progressive', phase_epochs=20, logits='head.fc', spot=[1, 0.1], soft_labels=0.8,
        ...                 task=0.2, fraction=[0.25, 1])
    """

    def __init__(self, logits: str, spot: Ramp = 1.0, soft_labels: Ramp = (0.0, 1.0), task: Ramp = (0.0, 1.0),
                 fraction: Ramp = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.logits = logits
        self.ramps = dict(spot=spot, soft_labels=soft_labels, task=task, fraction=fraction)

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return one phase per stage, that of the logits last."""
        cut = list(stages[:-1])
        known = spots_of(stages)
        check_names('spot', [self.logits], known, f'{self.where}, `logits`')
        if self.logits not in cut[-1].spots:
            raise ValueError(f'{self.where}, `logits`: {self.logits!r} is not the last spot, {known[-1]!r} is')
        ramps = {name: self._values(name, ramp, len(cut)) for name, ramp in self.ramps.items()}
        phases = []
        for k, stage in enumerate(cut):
            spot, soft, task, fraction = (ramp[k] for ramp in ramps.values())
            weights = {name: spot for name in stage.spots if name != self.logits}
            weights[self.logits] = soft
            active = {name: weight for name, weight in weights.items() if weight}
            # What no loss of this phase reaches is not trained in it.
            end = k + 1
            if soft:
                end = len(cut)
            if task:
                end = len(stages)
            phases.append(self.phase(stage.name, names_of(stages[k:end]), spots=active, task=task, fraction=fraction))
        return phases

    def _values(self, name: str, ramp: Ramp, count: int) -> list[float]:
        """Return one value per phase."""
        values = [ramp] * count if isinstance(ramp, int | float) else list(ramp)
        if len(values) == 2 and count > 2:
            first, last = values
            values = [(first * (count - 1 - k) + last * k) / (count - 1) for k in range(count)]
        if len(values) != count:
            raise ValueError(f'{self.where}: `{name}` is a number, a list of two (the first and the last phase), or of '
                             f'one for each of the {count} phases, not {ramp!r}')
        if min(values) < 0:
            raise ValueError(f'{self.where}: `{name}` must not be negative, as in {ramp!r}')
        return values
