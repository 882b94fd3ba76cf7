"""The active parts of a phase: an immutable object, and the rule that determines it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from skd_mm.features import FeatureExtractor, ForwardPlan, Stage
from skd_mm.features.dataflow import reached_parameters
from skd_mm.features.paths import is_within, join, overlaps
from skd_mm.features.temporary_modes import (
    preserve_buffers,
    preserve_modes,
    trainable_parameters,
    without_recomputation,
)
from skd_mm.routing import Router
from skd_mm.utils import did_you_mean
from skd_mm.utils.names import ALL

from .discriminators import Adversary, DiscriminatorInput, Discriminators
from .spot import Reconstruction, Spot, module_names

SpotLike = Spot | Reconstruction | Adversary


@dataclass(frozen=True)
class ActivePhase:
    """The trained and computed parts of a phase.

    Attributes:
        task: Weight of the student's own losses; 0 if they are off.
        spots: The active spots, with the weights of their losses.
        discriminators: The active discriminators, with the weights of the student's losses on them.
        parameters: Names of the student's parameters that are trained.
        frozen_modules: Paths of the student's largest modules outside of what is trained; they are in eval mode.
        frozen_bn: ``'train'`` if the statistics of BN in them drift all the same.
        predicts: Whether validations get the student's predictions instead of the losses at the spots.
        plan: The features and modules of both networks that are needed.
        routed: Whether the router decides which samples are distilled.
        multi_path: Whether the router is trained, by a second pass through both networks.
        forced: The spots after which the student continues with the teacher's feature.
        uncacheable: Why features cannot be cached in this phase; None if they can.
    """

    task: float
    spots: tuple[tuple[Spot | Reconstruction, float], ...]
    discriminators: tuple[tuple[Adversary, float], ...]
    parameters: frozenset[str]
    frozen_modules: tuple[str, ...]
    frozen_bn: str
    predicts: bool
    plan: ForwardPlan
    routed: bool = False
    multi_path: bool = False
    forced: tuple[Spot, ...] = ()
    uncacheable: str | None = None

    @property
    def cacheable(self) -> bool:
        """Whether features can be cached in this phase."""
        return self.uncacheable is None

    @property
    def terms(self) -> tuple[tuple[Spot | Reconstruction | Adversary, float], ...]:
        """The active spots and discriminators, with their weights."""
        return self.spots + self.discriminators

    def discriminator_model(self) -> Discriminators | None:
        """Return the active discriminators as a model, or None."""
        if not self.discriminators:
            return None
        return Discriminators([adversary for adversary, _ in self.discriminators])

    def generator_loss(self, cases: Sequence[DiscriminatorInput]) -> dict[str, Tensor]:
        """Return what the student is trained on by the active discriminators, which get no gradient from it.

        Args:
            cases: The inputs of the discriminators.

        Returns:
            ``spots.<name>.discriminator.loss``, times their weights.
        """
        return {f'spots.{adversary.name}.loss': weight * adversary.generator_loss(case).mean()
                for (adversary, weight), case in zip(self.discriminators, cases, strict=True)}

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher is run in training."""
        return bool(self.plan.teacher)


@dataclass
class PhaseResolver:
    """Resolver of the active parts of a phase from its names.

    Args:
        student: The student.
        teacher: The teacher, or None.
        stages: The student's stages.
        reached: Names of the student's parameters that each of its features depends on.
        alive: Names of the student's parameters that anything in its forward pass depends on.
        spots: All that can be active, by name.
        router: The router, or None.
        router_features: For ``'student'`` and ``'teacher'``, the names of the features that the router looks at, and
            those that its second pass starts and ends at.
    """

    student: FeatureExtractor
    teacher: FeatureExtractor | None
    stages: Sequence[Stage]
    reached: Mapping[str, frozenset[str]]
    alive: frozenset[str]
    spots: Mapping[str, SpotLike]
    router: Router | None
    router_features: Mapping[str, tuple[str, Sequence[str]]]

    def __post_init__(self) -> None:
        """Remember which parameters the student's own config keeps frozen."""
        self.learnable = frozenset(name for name, parameter in self._parameters() if parameter.requires_grad)
        self.task_reached: frozenset[str] | None = None

    def resolve(self, train: str | Iterable[str], spots: Mapping[str, float] | Iterable[str] = (), task: float = 0.0,
                frozen_bn: str = 'eval', teacher_forcing: Sequence[str] = (),
                predicts: bool | None = None) -> ActivePhase:
        """Resolve what is active.

        Args:
            train: Names of stages or modules of the student; ``'all'`` means all that a loss reaches. Parameters that
                the student's own config keeps frozen stay so.
            spots: Names of the active spots, with the weights of their losses (1 for a plain list).
            task: Weight of the student's own losses; 0 turns them off.
            frozen_bn: ``'train'`` lets the statistics of BN outside ``train`` drift.
            teacher_forcing: Names of active spots after which the student continues with the teacher's feature.
            predicts: Whether validations get the student's predictions; None if the task is on or no spot is active.

        Returns:
            The active parts.

        Raises:
            KeyError: A name does not exist; the closest ones are given.
            RuntimeError: A spot is active and there is no teacher.
            ValueError: A name in ``train`` has parameters that no active loss reaches, or a feature cannot be replaced
                by the teacher's.
        """
        train = [train] if isinstance(train, str) else list(train)
        terms = self._terms(dict(spots) if isinstance(spots, Mapping) else dict.fromkeys(spots, 1.0))
        paths = self.train_paths(train)
        compared = tuple((spot, weight) for spot, weight in terms if not isinstance(spot, Adversary))
        # Without the task, a policy cannot be trained, and an untrained one is useless.
        routed = self.router is not None and bool(task) and any(isinstance(spot, Spot) for spot, _ in compared)
        multi_path = routed and self.router is not None and self.router.learns
        captured = self._features('student', terms, routed, multi_path)
        prefix, again = self._frozen_prefix(paths, captured)
        trained, left_out = self._trained(train, paths, terms, bool(task))
        return ActivePhase(
            task=float(task), spots=compared,
            discriminators=tuple((spot, weight) for spot, weight in terms if isinstance(spot, Adversary)),
            parameters=trained, frozen_modules=tuple(self._outside(paths) + self._left_out(paths, left_out)),
            frozen_bn=frozen_bn, predicts=(bool(task) or not compared) if predicts is None else predicts,
            routed=routed, multi_path=multi_path,
            forced=self._forced(teacher_forcing, compared, bool(task), routed),
            plan=ForwardPlan(captured, self._features('teacher', terms, routed, multi_path), prefix),
            uncacheable=self._why_uncacheable(terms, frozen_bn, multi_path, again))

    def find_task_parameters(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> list[str]:
        """Find which parameters the student's own losses reach, by a forward pass in training mode.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: One per image, with labels.

        Returns:
            The names of the parameters that would be trained and are not reached; they are not trained from now on.
        """
        model = self.student.model
        with (preserve_modes(model), preserve_buffers(model), torch.enable_grad(),
              trainable_parameters(model, True), without_recomputation(model)):
            model.train()
            losses = model(inputs, data_samples, mode='loss')
            terms = [value for name, value in losses.items() if 'loss' in name]
            if not terms:
                return []
            self.task_reached = reached_parameters(model, terms)
        return sorted(self.learnable & {name for name, _ in model.named_parameters()} - self.task_reached)

    def train_paths(self, train: Iterable[str]) -> list[str]:
        """Return the paths in the student of stages and modules.

        Args:
            train: See :meth:`resolve`.

        Returns:
            Paths of modules, and of single parameters and buffers; ``''`` is the whole student.

        Raises:
            KeyError: There is neither a stage nor a module of that name.
        """
        return [path for name in train for path in self._paths(name)]

    def _paths(self, name: str) -> tuple[str, ...]:
        if name == ALL:
            return ('', )
        for stage in self.stages:
            if stage.name == name:
                return stage.paths
        return (self.student.module_path(name, [stage.name for stage in self.stages])[0], )

    def _terms(self, weights: Mapping[str, float]) -> list[tuple[SpotLike, float]]:
        for name in weights:
            if name not in self.spots:
                raise KeyError(f'there is no spot {name!r}{did_you_mean(name, self.spots)}')
        if weights and self.teacher is None:
            raise RuntimeError(f'the spots {list(weights)} are active, but the model has no teacher: name one in '
                               '`model.teacher`')
        return [(self.spots[name], weight * self.spots[name].weight) for name, weight in weights.items()]

    def _forced(self, names: Sequence[str], compared: Sequence[tuple[Spot | Reconstruction, float]], task: bool,
                routed: bool) -> tuple[Spot, ...]:
        """Return the spots with those names of which a later module reads the feature, one for each module."""
        named = [spot for name in names if isinstance(spot := self.spots[name], Spot)]
        if named and routed:
            raise ValueError('teacher_forcing does not work with a router, which runs both networks on mixed features')
        if not named:
            return ()
        # Of several spots at one module, the one with connectors decides.
        spots: dict[Any, Spot] = {}
        for spot in sorted(named, key=lambda spot: not len(spot.input_connector)):
            spots.setdefault(spot.student, spot)
        for spot in spots.values():
            spot.check_forcing()
            self._check_later_stages(spot)
        # Without the task, the student is stopped at its last active spot.
        last = -1 if task else max(self._stage_of(spot) for spot, _ in compared if isinstance(spot, Spot))
        return tuple(spot for spot in spots.values() if self._stage_of(spot) != last)

    def _check_later_stages(self, spot: Spot) -> None:
        path = self.student.module_path(str(spot.student))[0]
        later = [part for stage in self.stages[self._stage_of(spot) + 1:] for part in stage.paths
                 if is_within(part, [path])]
        if later:
            raise ValueError(f'teacher_forcing: the feature at {spot.student!r} cannot be replaced for the modules '
                             f'after it: {path!r} contains {later[0]!r}, which belongs to a later stage. Name the '
                             'module at the end of the stage')

    def _stage_of(self, spot: Spot) -> int:
        end = module_names(spot.student)[-1]
        return [stage.name in (spot.name, end) for stage in self.stages].index(True)

    def _parameters(self) -> list[tuple[str, nn.Parameter]]:
        # A parameter that two modules share has a name in each of them.
        return list(self.student.model.named_parameters(remove_duplicate=False))

    def _trained(self, train: Sequence[str], paths: Sequence[str], terms: Sequence[tuple[SpotLike, float]],
                 task: bool) -> tuple[frozenset[str], frozenset[str]]:
        """Return the parameters that are named and that a loss reaches, and those that are named and that none reaches.

        A data-parallel wrapper would wait for the gradient of any other.
        """
        names = {id(parameter): name for name, parameter in self.student.model.named_parameters()}
        named = {names[id(parameter)] for name, parameter in self._parameters() if is_within(name, paths)}
        named &= self.learnable
        if task and self.task_reached is None:
            return frozenset(named), frozenset()
        reached = {parameter for spot, _ in terms for module in module_names(spot.student)
                   for parameter in self.reached[module]}
        if task:
            reached |= self.task_reached or set()
        unreached = named - reached
        if unreached and ALL not in train:
            self._check_reached(train, unreached, reached, task)
        return frozenset(named - unreached), frozenset(unreached)

    def _check_reached(self, train: Sequence[str], unreached: set[str], reached: set[str], task: bool) -> None:
        """Refuse names that no loss reaches. Parameters that the network does not use are only omitted."""
        for name in train:
            paths = self._paths(name)
            own = {parameter for parameter in self.learnable if is_within(parameter, paths)}
            lost = sorted(own & unreached & self.alive) or sorted(own & unreached if not own & reached else ())
            if lost:
                more = f' and {len(lost) - 1} more of its parameters' if lost[1:] else ''
                hint = '' if task else ': the task loss is off, and they do not lie before an active spot'
                raise ValueError(f'{name!r} cannot be trained: no loss reaches {lost[0]!r}{more}{hint}')

    def _outside(self, paths: Sequence[str]) -> list[str]:
        """Return the largest modules that are not trained and contain nothing that is."""
        outside: list[str] = []
        stack = [('', self.student.model)]
        while stack:
            path, module = stack.pop()
            if is_within(path, paths):
                continue
            if any(is_within(trained, [path]) for trained in paths):
                stack += [(join(path, name), child) for name, child in module.named_children()]
            else:
                outside.append(path)
        return outside

    def _left_out(self, paths: Sequence[str], left_out: frozenset[str]) -> list[str]:
        """The largest modules within what is to be trained of which no loss reaches any parameter."""
        frozen: list[str] = []
        stack = [('', self.student.model)] if left_out else []
        while stack:
            path, module = stack.pop()
            own = {join(path, name) for name, _ in module.named_parameters()}
            if own and own <= left_out and is_within(path, paths):
                frozen.append(path)
            elif own & left_out:
                stack += [(join(path, name), child) for name, child in module.named_children()]
        return frozen

    def _frozen_prefix(self, paths: Sequence[str],
                       captured: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
        """The modules of the stages before the first one that is trained, and those of them that run again later.

        A module with a captured one inside is replaced by its children: what is replayed does not run its parts.
        """
        inner = [self.student.module_path(name)[0] for name in captured]
        trained = [any(overlaps(part, path) for part in stage.paths for path in paths) for stage in self.stages]
        prefix = self.stages[:trained.index(True)] if any(trained) else []
        return (tuple(part for stage in prefix for path in stage.modules for part in self._around(path, inner)),
                [name for stage in prefix for name in stage.shared])

    def _around(self, path: str, inner: Sequence[str]) -> list[str]:
        if not any(name != path and is_within(name, [path]) for name in inner):
            return [path]
        module = self.student.model.get_submodule(path)
        return [part for name, _ in module.named_children() for part in self._around(join(path, name), inner)]

    def _features(self, side: str, terms: Sequence[tuple[SpotLike, float]], routed: bool,
                  multi_path: bool) -> frozenset[str]:
        captured = {name for spot, _ in terms for name in module_names(getattr(spot, side))}
        if routed:
            policy_input, ends = self.router_features[side]
            captured.add(policy_input)
            if multi_path and side == 'teacher':
                captured |= {ends[0], ends[-1]}
        return frozenset(captured)

    def _why_uncacheable(self, terms: Sequence[Any], frozen_bn: str, multi_path: bool,
                         again: Sequence[str]) -> str | None:
        if terms and self.teacher is not None and getattr(self.teacher.model, 'random', False):
            return ('features cannot be cached while the teacher draws its answers: an image has another target each '
                    "time; set `schedule.cache=0`, or `model.teacher.target='mean'`")
        if frozen_bn == 'train' or (self.teacher is not None and self.teacher.model.training):
            return ("features cannot be cached while frozen BN or the teacher is in mode 'train': they differ in every "
                    'batch')
        if multi_path:
            return ('features cannot be cached while a router is trained: its second pass runs both networks on mixed '
                    'features; set `schedule.cache=0`')
        if again:
            return (f'features cannot be cached: {list(again)} belong to the frozen part of the student and run again '
                    'after it; set `schedule.cache=0`')
        return None
