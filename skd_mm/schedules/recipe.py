"""What all recipes share, and the recipe that is a plain list of phases."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from skd_mm.registry import RECIPES

from .cache import CacheSettings
from .outline import StageOutline, outlined, spots_of
from .phase import Phase, check_names, with_length


class Recipe:
    """Base class of recipes, which build the phases of a schedule from a student's stages.

    Subclasses implement :meth:`build`. This class adds the settings that all phases share, and applies the overrides of
    single phases.

    Args:
        phase_epochs: Length of every phase in epochs of its data fraction.
        phase_iters: Length of every phase in iterations, instead of ``phase_epochs``.
        fraction: Fraction of the training set to use in all phases, in (0, 1]. Defaults to 1.
        fraction_seed: Seed of the one permutation whose prefixes are the fractions. Defaults to 0.
        cache: GiB of memory in which each phase may keep features that do not change during the phase, or a dict with
            more settings, see :class:`CacheSettings`. 0 (the default) recomputes them for every batch.
        overrides: Settings of single phases by name: attributes of :class:`Phase`.
        **common: Other attributes of :class:`Phase` for all phases (``val_interval``, ``handover`` …).

    Raises:
        ValueError: An argument is no attribute of a phase, or an override names no phase.
    """

    def __init__(self,
                 phase_epochs: int | None = None,
                 phase_iters: int | None = None,
                 fraction: float = 1.0,
                 fraction_seed: int = 0,
                 cache: float | Mapping[str, Any] = 0.0,
                 overrides: Mapping[str, Mapping[str, Any]] | None = None,
                 **common: Any) -> None:
        self.where = f'schedule {type(self).__name__}'
        shared = [key for key in Phase.settings() if key not in ('name', 'train', 'spots', 'task', 'epochs', 'iters')]
        own = [key for kind in (type(self), Recipe) for key, value in inspect.signature(kind).parameters.items()
               if value.kind is not value.VAR_KEYWORD]
        check_names('setting', list(common), list(dict.fromkeys([*own, *shared])), self.where)
        if (phase_epochs is None) == (phase_iters is None) and type(self) is not Phases:
            raise ValueError(f'{self.where}: give exactly one of `phase_epochs` ({phase_epochs}) and `phase_iters` '
                             f'({phase_iters})')
        self.fraction_seed = fraction_seed
        self.cache = CacheSettings.of(cache)
        self.common: dict[str, Any] = dict(common, epochs=phase_epochs, iters=phase_iters, fraction=fraction)
        self.overrides = dict(overrides or {})

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Build the phases; implemented by each recipe.

        Args:
            stages: The student's stages in the order of its forward pass, the task head last, with their spots.

        Returns:
            The phases.
        """
        raise NotImplementedError

    def phase(self, name: str, train: str | Sequence[str], **values: Any) -> Phase:
        """Return a phase with the settings of all phases and its own."""
        return Phase(name=name, train=train, **{**self.common, **with_length(values)})

    def phases(self, stages: Sequence[str | Mapping[str, Any] | StageOutline],
               spots: Sequence[str] | None = None) -> list[Phase]:
        """Return the schedule for a student.

        Args:
            stages: The student's stages in the order of its forward pass, the task head last. A name stands for a stage
                with one spot of that name.
            spots: Names of all that can be active; those of the stages by default.

        Returns:
            The phases in their order, with unique names.

        Raises:
            ValueError: A name in the recipe is no stage, phase or attribute; the closest ones are given.
        """
        outline = outlined(stages)
        phases = self.build(outline)
        names = [phase.name for phase in phases]
        if len(set(names)) < len(names):
            raise ValueError(f'{self.where}: phases must have different names, not {names}')
        check_names('phase', list(self.overrides), names, f'{self.where}, `overrides`')
        for i, phase in enumerate(phases):
            values = dict(self.overrides.get(phase.name, {}))
            check_names('setting', list(values), [key for key in Phase.settings() if key != 'name'],
                        f'{self.where}, phase {phase.name!r}')
            phases[i] = replace(phase, **with_length(values))
            check_names('spot', list(phases[i].spots), spots_of(outline) if spots is None else spots,
                        f'{self.where}, phase {phase.name!r}')
        return phases


@RECIPES.register_module()
class Phases(Recipe):
    """A schedule written out phase by phase.

    Args:
        phases: One dict per phase, with the attributes of :class:`Phase`; others are those of the recipe.
        **kwargs: As for :class:`Recipe`.

    Example:
        >>> schedule = dict(type='Phases', phase_epochs=10, phases=[
        ...     dict(name='backbone', train=['backbone'], spots=['backbone.layer4']),
        ...     dict(name='head', train=['decode_head'], task=1, epochs=20)])
    """

    def __init__(self, phases: Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not phases:
            raise ValueError(f'{self.where}: `phases` is empty')
        self.cfgs = [dict(cfg) for cfg in phases]

    def build(self, stages: Sequence[StageOutline]) -> list[Phase]:
        """Return the phases as they are written."""
        built = []
        for i, cfg in enumerate(self.cfgs):
            where = f'{self.where}, phases[{i}]'
            check_names('setting', list(cfg), Phase.settings(), where)
            absent = [key for key in ('name', 'train') if key not in cfg]
            if absent:
                raise ValueError(f'{where}: {absent} must be given')
            built.append(self.phase(**cfg))
        return built
