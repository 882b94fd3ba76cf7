"""The last phase of a schedule: the whole student at once, from the weights that the phases before it have reached."""

from collections.abc import Mapping, Sequence
from typing import Any

from .phase import Phase, check_names

NAME = 'polish'
MIX = ('task', 'spots', 'logits', 'average')
"""The keys of ``polish`` that are no attributes of a phase."""


class Polish:
    """Settings of a last phase that trains the whole student on a mix of task, spots and logits.

    By default, all terms are on and have the same weight, ``1 / n`` of ``n`` terms. That is what a single trial
    used (U-Net R34 → R10 at a quarter of the width, 36 labelled images of CamVid, 160×224 pixels): it ended above
    stagewise distillation alone with all three seeds.

    Args:
        settings: ``task``: weight of the task loss, 1 by default. ``spots``: the active spots, or a dict of them and
            their weights; by default all that the other phases use, with weight 1; ``[]`` for none. ``logits``: weight
            of the spot at the logits; 1 by default if the recipe has ``logits``, else 0. ``average``: whether to divide
            all weights by the number of terms, True by default. Any other key is an attribute of :class:`Phase`;
            ``handover`` is ``'best'`` and ``val_metric`` is ``'task'`` by default.
        logits: Name of the spot at the logits, or None.
        where: The recipe, for messages.

    Raises:
        ValueError: A key does not exist; there is no term; or ``logits`` has a weight, and the recipe no such spot.
    """

    def __init__(self, settings: Mapping[str, Any], logits: str | None, where: str) -> None:
        self.where = f'{where}, `polish`'
        check_names('setting', list(settings), [*MIX, *(key for key in Phase.settings() if key != 'name')], self.where)
        mix = {key: value for key, value in settings.items() if key in MIX}
        self.phase = {key: value for key, value in settings.items() if key not in MIX}
        self.task: float = mix.get('task', 1.0)
        self.spots: Sequence[str] | Mapping[str, float] | None = mix.get('spots')
        self.logits: float = mix.get('logits', 0.0 if logits is None else 1.0)
        self.average: bool = mix.get('average', True)
        self.logits_spot = logits
        if self.logits and logits is None:
            raise ValueError(f"{self.where}: `logits` needs the name of the spot at the student's logits: set "
                             '`schedule.logits`')

    def weights(self, spots: Sequence[str], known: Sequence[str]) -> tuple[dict[str, float], float]:
        """Return the weights of all terms.

        Args:
            spots: The spots that are active by default.
            known: All spots of the model.

        Returns:
            The weights of the spots, and that of the task loss.

        Raises:
            ValueError: A spot does not exist, or there is no term.
        """
        chosen = spots if self.spots is None else self.spots
        weights = dict(chosen) if isinstance(chosen, Mapping) else dict.fromkeys(chosen, 1.0)
        check_names('spot', list(weights), known, f'{self.where}, `spots`')
        if self.logits and self.logits_spot is not None:
            weights[self.logits_spot] = self.logits
        terms = len(weights) + bool(self.task)
        if not terms:
            raise ValueError(f'{self.where}: there is nothing to learn from: no spot is active, and the task loss is '
                             'off')
        share = 1 / terms if self.average else 1.0
        return {name: share * weight for name, weight in weights.items()}, share * self.task
