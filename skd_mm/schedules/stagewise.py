"""Stage by stage: SKD (arXiv 1911.06786) and SSKD (arXiv 1812.01819)."""

from collections.abc import Mapping, Sequence
from typing import Any

from skd_mm.registry import RECIPES
from skd_mm.utils.names import ALL

from .outline import StageOutline, names_of, spots_of
from .phase import Phase, check_names
from .polish import NAME, Polish
from .recipe import Recipe

Step = tuple[str, list[str], dict[str, float]]
"""The name of a phase, the stages that it trains, and the weights of its spots."""


class StageByStage(Recipe):
    """Base class of recipes that train stage by stage, then the head, and then, if so configured, the whole student.

    Args:
        head: Attributes of the phase of the head that differ.
        logits: The name of a spot at the student's logits. It has no phase of its own; what it needs belongs to the
            head. None by default.
        polish: Settings of a last phase, named ``polish``, that trains the whole student on a mix of the task loss,
            the spots and the logits, see :class:`skd_mm.schedules.polish.Polish`. It starts from the best checkpoint of
            the head. None (the default) omits it.
        **kwargs: As for :class:`Recipe`.

    Attributes:
        head_spots: The active spots in the phase of the head, or a dict of them and their weights.
    """

    head_spots: Sequence[str] | Mapping[str, float] = ()

    def __init__(self, head: Mapping[str, Any] | None = None, logits: str | None = None,
                 polish: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if head:
            self.overrides['task_head'] = {**self.overrides.get('task_head', {}), **head}
        self.logits = logits
        self.polish = None if polish is None else Polish(polish, logits, self.where)

    def walk(self, stages: Sequence[StageOutline]) -> tuple[list[Step], list[str]]:
        """Divide the stages into those that are trained one after the other and those of the head.

        Args:
            stages: The student's stages, the task head last.

        Returns:
            The name of each phase, the stages that it trains and the weights of its spots; and the stages of the head.
        """
        raise NotImplementedError

    def stage_phases(self, steps: Sequence[Step]) -> list[Phase]:
        """Return the phases of the stages, one for each step of :meth:`walk`."""
        return [self.phase(name, train, spots=spots) for name, train, spots in steps]

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return the phases of the stages, that of the head, and the polish."""
        known = spots_of(stages)
        if self.logits is not None:
            check_names('spot', [self.logits], known, f'{self.where}, `logits`')
        steps, rest = self.walk(stages)
        phases = self.stage_phases(steps)
        phases.append(self.phase(stages[-1].name, rest, spots=self.head_spots, task=1.0))
        if self.polish is not None:
            weights, task = self.polish.weights([name for _, _, spots in steps for name in spots], known)
            settings = {'handover': 'best', 'val_metric': 'task', **self.polish.phase}
            phases.append(self.phase(**{'name': NAME, 'train': [ALL], 'spots': weights, 'task': task, **settings}))
        return phases


@RECIPES.register_module()
class Stagewise(StageByStage):
    """One phase per stage, from the input to the output, then the task head (SKD, section 1 of its algorithm).

    Phase *k* trains stage *k* on the losses of its spots alone, without labels; all earlier stages are
    frozen. The last phase trains the task head on the ground truth alone, without a teacher. Each phase has a
    fresh optimizer and starts from the previous one's best checkpoint.

    Args:
        head: Attributes of the phase of the head that differ, for example ``dict(train=['decode_head.conv_seg'])``. By
            default, it trains everything after the last spot.
        head_spots: Spots of the phase of the head alone, names or a dict of names and weights: they get no phase of
            their own and are active next to the ground truth. A stage that has no other spots is trained in the next
            phase. Defaults to none.
        **kwargs: As for :class:`StageByStage` and :class:`Recipe`.

    Example:
        >>> schedule = dict(type='Stagewise', phase_epochs=50, fraction=0.1, polish=dict(epochs=80))
        >>> then_all = dict(type='Stagewise', phase_epochs=50, head_spots=['cwd'], head=dict(train=['all']))
    """

    def __init__(self, head_spots: Sequence[str] | Mapping[str, float] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.head_spots = head_spots

    def walk(self, stages: Sequence[StageOutline]) -> tuple[list[Step], list[str]]:
        """Return a step per stage with spots, and the head; see :meth:`StageByStage.walk`."""
        steps: list[Step] = []
        waiting: list[str] = []
        for stage in stages[:-1]:
            own = {name: weight for name, weight in stage.weights.items()
                   if name != self.logits and name not in self.head_spots}
            waiting.append(stage.name)
            if own:
                steps.append((stage.name, waiting, own))
                waiting = []
        if not steps:
            raise ValueError(f'{self.where}: the model has no spots to walk along; name them in `model.spots`')
        return steps, [*waiting, stages[-1].name]


@RECIPES.register_module()
class FewLabels(Stagewise):
    """Many images and few labels: all that needs no labels is trained on the unlabelled images.

    The stages are trained one by one on the unlabelled images, the head on the labelled ones, and then the whole
    student on the unlabelled images, on its spots and the teacher's logits (:class:`skd_mm.schedules.polish.Polish`
    without the task loss). Without an ``unlabelled_dataloader`` all of that uses the labelled images.

    In a trial (U-Net R34 → R10 at a quarter of the width, CamVid at 160×224 pixels, three seeds), 36 labelled and all
    367 images as unlabelled ones gave 37.3 to 38.0 % test mIoU, where SKD on the labelled images gave 34.8 to 35.1 %.
    The teacher, which had been trained on all labels, has 38.4 %.

    Args:
        logits: The name of the spot at the student's logits, with a :class:`skd_mm.losses.KDLoss` of temperature 1 in
            the trial. Defaults to ``'logits'``.
        head: Attributes of the phase of the head. Its length is ten times ``phase_epochs`` by default, as an epoch of
            few images is short, or once ``phase_iters``.
        polish: Settings of the last phase. Its length is twice ``phase_epochs`` or ``phase_iters`` by default.
        **kwargs: As for :class:`Stagewise`.

    Example:
        >>> unlabelled_dataloader = dict(dataset=dict(type='skd_mm.UnlabelledDataset', data_root='data/my_images'))
        >>> schedule = dict(type='FewLabels', phase_epochs=7)
    """

    def __init__(self, logits: str = 'logits', head: Mapping[str, Any] | None = None,
                 polish: Mapping[str, Any] | None = None, phase_epochs: int | None = None,
                 phase_iters: int | None = None, **kwargs: Any) -> None:
        of_head, of_polish = dict(head or {}), dict(polish or {})
        if phase_epochs is not None and not {'epochs', 'iters'} & set(of_head):
            of_head['epochs'] = 10 * phase_epochs
        length = dict(epochs=phase_epochs) if phase_epochs is not None else dict(iters=phase_iters)
        if not {'epochs', 'iters'} & set(of_polish):
            of_polish.update({key: 2 * value for key, value in length.items() if value is not None})
        super().__init__(head=of_head, logits=logits, polish={'task': 0, **of_polish}, phase_epochs=phase_epochs,
                         phase_iters=phase_iters, **kwargs)


@RECIPES.register_module()
class BackboneFirst(StageByStage):
    """The backbone stage by stage, then everything else on the task loss (SSKD, arXiv 1812.01819).

    Phase *k* trains the backbone's stage *k* and its connectors on the losses of its spots alone, without labels; all
    earlier stages are frozen. The last phase freezes the backbone and trains everything after it on the ground truth
    alone. Spots outside the backbone are not used. The paper does not specify all settings; ours are called "SSKD, our
    settings".

    Args:
        head: Attributes of the phase of the head that differ.
        **kwargs: As for :class:`StageByStage` and :class:`Recipe`. ``logits`` may be any spot.

    Example:
        >>> schedule = dict(type='BackboneFirst', phase_epochs=50)
    """

    def walk(self, stages: Sequence[StageOutline]) -> tuple[list[Step], list[str]]:
        """Return a step per stage of the backbone, and all others; see :meth:`StageByStage.walk`."""
        backbone = [stage for stage in stages[:-1] if stage.in_backbone]
        if not backbone:
            raise ValueError(f"{self.where}: the model has no spot in its backbone; `model.spots='backbone'` puts one "
                             'at the end of each of its stages')
        steps = [(stage.name, [stage.name], stage.weights) for stage in backbone]
        return steps, names_of(stages[len(backbone):])
