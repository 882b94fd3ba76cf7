"""The distiller: the wrapper model that holds teacher, student and spots."""

import copy
import functools
import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from skd_mm.connectors.shapes import channels
from skd_mm.features import (
    Execution,
    FeatureCache,
    FeatureExtractor,
    Stage,
    StageEntry,
    needed_outputs,
    placeholder,
    recorded_paths,
    split_stages,
    structure_of,
)
from skd_mm.features.extractor import copied
from skd_mm.registry import MODELS, build
from skd_mm.routing import Router
from skd_mm.utils import did_you_mean, tree_leaves

from .discriminators import Adversary, DiscriminatorInput, Discriminators
from .inputs import TeacherInput
from .networks import build_network, load_weights
from .probing import features_at, pooled_feature, probe, stage_entries, stage_pairs
from .routed import Branch, multi_path
from .samples import collect_context, equal, sample_keys
from .spot import Reconstruction, Spot, module_names, select_features, spot_configs
from .training_loop import check_training_loop

ALL = 'all'
_TASK_LOSS = 'task.loss'  # what mmpretrain's heads call `loss`: under that name the log has the sum of all


class _Shared:
    """Holds an object that copies of its owner share: a frozen teacher is in no EMA copy."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __deepcopy__(self, memo: dict) -> '_Shared':
        return self


@MODELS.register_module()
class Distiller(BaseModel):
    """Teacher, student and spots as one model that any MMEngine runner trains.

    What is compared is fixed here; what of it is active, and which part of the student learns, is told with
    :meth:`activate`, by names alone. Until then everything is: the whole student on its own loss and every spot.

    Only what is active is computed: each forward ends behind the last active spot, the teacher is not run where no
    spot is active, and a frozen prefix builds no graph. The teacher is not among the distiller's modules: it is in no
    checkpoint, no EMA copy and no ``init_weights``, and always in eval mode and without gradient.

    Args:
        student: ``dict(cfg='path/to/config.py', checkpoint=None, options=None)`` or a model config. The checkpoint,
            if any, is where the student starts.
        teacher: The same for the teacher; its checkpoint must fit completely. ``mode='train'`` runs its BN on batch
            statistics, as SKD's published segmentation code does (the running ones still stay as they are). None
            where nothing is distilled.
        spots: Module names, or dicts with the arguments of :class:`Spot`; ``'backbone'`` for one spot at the end of
            each of the backbone's own stages, with connectors where they are needed. In place of module names a dict
            may have ``stage``, see :func:`skd_mm.distillers.spot.spot_configs`. What the stages are can be said with
            ``student=dict(stages=['backbone.layer1', ...])``, and likewise for the teacher.
        router: Config of a :class:`skd_mm.routing.Router`. Where a phase has the task loss and a spot on, it decides
            which samples are distilled.
        input_shape: ``(C, H, W)`` of the zeros with which both networks are run once to learn stages and shapes.
            Defaults to 64×64 with the channels of the first convolution.
        data_preprocessor: Used where the student's config has none.
        channels_last: Keep weights and features of both networks in that memory format.
        compile: Run both networks through ``torch.compile``, between the features that the phase looks at; a dict has
            its arguments. See :class:`skd_mm.features.Execution`.
        gradient_checkpointing: Keep only the inputs of the student's blocks, and compute the rest of its activations
            anew in the backward.

    Raises:
        KeyError: A spot names a module that does not exist.
        ValueError: Two spots have one name, or features cannot be compared.

    Example:
        >>> model = dict(
        ...     type='skd_mm.Distiller',
        ...     teacher=dict(cfg='mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
        ...                  checkpoint='pspnet_r101.pth'),
        ...     student=dict(cfg='mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'),
        ...     spots=[dict(student='backbone.layer4', connector='auto')])
    """

    def __init__(self,
                 student: Mapping[str, Any],
                 teacher: Mapping[str, Any] | None = None,
                 spots: str | Sequence[str | Mapping[str, Any]] = (),
                 input_shape: Sequence[int] | None = None,
                 router: Mapping[str, Any] | None = None,
                 data_preprocessor: Mapping[str, Any] | None = None,
                 channels_last: bool = False,
                 compile: bool | Mapping[str, Any] = False,
                 gradient_checkpointing: bool = False,
                 **unknown: Any) -> None:
        for key in unknown:
            known = list(inspect.signature(Distiller).parameters)[:-1]
            raise ValueError(f'model: a Distiller takes no {key!r}{did_you_mean(key, known)} (it takes {known})')
        network = build_network(student, 'student', data_preprocessor)
        super().__init__(data_preprocessor=network.data_preprocessor)
        self.student = network
        self.student_checkpoint = student.get('checkpoint')
        self.student_network = FeatureExtractor(network, 'student', Execution(compile, gradient_checkpointing))
        self.student_network.execution.check(network, 'student')
        self._teacher = _Shared(self._build_teacher(teacher) if teacher is not None else None)
        self._teacher_execution = Execution(compile)
        self.channels_last = channels_last
        for part in (network, self.teacher) if channels_last else ():
            if part is not None:
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._learnable = [parameter for parameter in network.parameters() if parameter.requires_grad]

        shape = tuple(input_shape or (_input_channels(network), 64, 64))
        if self.teacher is not None:
            try:
                self.teacher_input = TeacherInput(network.data_preprocessor, self.teacher.data_preprocessor)
            except (RuntimeError, TypeError, ValueError) as error:
                raise ValueError('model.teacher.data_preprocessor and model.student.data_preprocessor do not go '
                                 f'together: {error}') from error
        own_stages = student.get('stages'), teacher.get('stages') if teacher is not None else None
        pairs = functools.cache(lambda: stage_pairs(
            self.student_network, self.teacher_network if self.teacher is not None else None, shape, *own_stages))
        if spots == 'backbone':
            spots = [dict(student=one, teacher=other, connector='auto') for one, other in pairs()]
        cfgs = [cfg for spot in spots for cfg in spot_configs(spot, pairs)]
        called = [cfg['name'] for cfg in cfgs]
        if len(set(called)) < len(called):
            raise ValueError(f'model.spots: each needs a `name` of its own, not {called}')
        # A stage ends where all that its spot needs is available.
        modules = [module_names(cfg['student'])[-1] for cfg in cfgs]
        if len(set(modules)) < len(modules):
            raise ValueError(f'model.spots: each must be at a student module of its own, not {modules}')
        self.stages: list[Stage]
        self.stages, _ = probe(
            self.student_network, shape, lambda call: split_stages(self.student_network, call, modules))
        features = features_at(
            self.student_network, shape, {name for cfg in cfgs for name in module_names(cfg['student'])})
        targets = {}
        if self.teacher is not None:
            targets = features_at(
                self.teacher_network, shape, {name for cfg in cfgs for name in module_names(cfg['teacher'])})
        # A stage is named by its spot, in the order of the forward; a module name has dots, a ModuleDict's key none.
        by_module = {module_names(cfg['student'])[-1]: cfg for cfg in cfgs}
        self.stages = [replace(stage, name=by_module[stage.name]['name']) if stage.name in by_module else stage
                       for stage in self.stages]
        self.spots = nn.ModuleDict()
        for stage in self.stages[:-1]:
            cfg = next(cfg for cfg in cfgs if cfg['name'] == stage.name)
            self.spots[_key(cfg['name'])] = Spot(
                **cfg, student_feature=select_features(features, cfg['student']),
                teacher_feature=select_features(targets, cfg['teacher']) if targets else None)
        self._entries: dict[str, list[StageEntry]] = {}
        self.router: Router | None = None
        if router is not None:
            self._build_router(router, shape)
        self.activate(ALL, self.stage_names()[:-1] if self.teacher is not None else [], 1.0)

    def _build_teacher(self, cfg: Mapping[str, Any]) -> nn.Module:
        teacher = build_network(cfg, 'teacher')
        mode = cfg.get('mode', 'eval')
        if mode not in ('eval', 'train'):
            raise ValueError(f"model.teacher.mode must be 'eval' or 'train', not {mode!r}")
        if cfg.get('checkpoint') is not None:
            try:
                load_weights(teacher, cfg['checkpoint'], 'teacher')
            except FileNotFoundError as error:
                how = f'; `python tools/train.py {cfg["cfg"]}` trains one' if isinstance(cfg.get('cfg'), str) else ''
                raise FileNotFoundError(f'{error}{how}') from None
        else:
            print_log('teacher: no checkpoint is given, its weights are random', logger='current',
                      level=logging.WARNING)
        teacher.requires_grad_(False)
        teacher.train(mode == 'train')
        for module in teacher.modules():
            if isinstance(module, _BatchNorm):
                # In mode 'train' batch statistics are used; the running ones, and their counter, do not move.
                module.momentum = 0.0
                module.num_batches_tracked = None
        return teacher

    def _build_router(self, cfg: Mapping[str, Any], shape: Sequence[int]) -> None:
        """The router over all spots, and what is needed to enter both networks behind each of them."""
        if self.teacher is None or not len(self.spots):
            raise ValueError('model.router needs a teacher and spots')
        spots = self._spots()
        routed = [name for name, spot in spots.items() if isinstance(spot, Spot)]
        given = cfg.get('policy_input')
        inputs = given if isinstance(given, Mapping) else {'student': given, 'teacher': given}
        self._policy_input: dict[str, str] = {}
        ends: dict[str, list[str]] = {}
        features: dict[str, dict[str, Tensor]] = {}
        for network in (self.student_network, self.teacher_network):
            role = network.role
            self._policy_input[role] = inputs[role] or pooled_feature(network, shape)
            ends[role] = [module_names(getattr(spots[name], role))[-1] for name in routed]
            features[role] = features_at(network, shape, {*ends[role], self._policy_input[role]})
        # Whoever decides, the student starts from the same weights.
        with torch.random.fork_rng(devices=[]):
            router: Router = build(
                MODELS, dict(type='Router') | dict(cfg), spots=routed,
                policy_channels=sum(channels(features[role][name]) for role, name in self._policy_input.items()),
                **{role: [features[role][end] for end in ends[role]] for role in ends})
        self.router = router
        if router.learns:
            self._entries = {network.role: stage_entries(network, shape, ends[network.role])
                             for network in (self.student_network, self.teacher_network)}

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher, or None."""
        return self._teacher.value

    @property
    def teacher_network(self) -> FeatureExtractor:
        """The teacher as a network; made anew, as a copy of the distiller would copy what is kept."""
        assert self.teacher is not None
        return FeatureExtractor(self.teacher, 'teacher', self._teacher_execution)

    def stage_names(self) -> list[str]:
        """Names of the stages in the order of the forward, ``'task_head'`` last."""
        return [stage.name for stage in self.stages]

    def spot_names(self) -> list[str]:
        """Names of all that can be active: the spots in the order of the forward, then what belongs to them."""
        return list(self._spots())

    def spot_shapes(self, shape: Sequence[int]) -> dict[str, tuple[list[tuple[int, ...]], list[tuple[int, ...]]]]:
        """The shapes of the features that are compared, before any connector.

        Args:
            shape: ``(C, H, W)`` of an image.

        Returns:
            For each spot those of the student's modules, and those of the teacher's (none where there is no teacher).
        """
        sides: list[dict[str, Tensor]] = []
        for side in ('student', 'teacher'):
            wanted = {module for spot in self.spots.values() for module in module_names(getattr(spot, side))}
            network = self.student_network if side == 'student' else self.teacher_network if self.teacher else None
            sides.append(features_at(network, shape, wanted) if network is not None and wanted else {})
        spots: Iterable[Any] = self.spots.values()
        return {spot.name: ([tuple(sides[0][module].shape[1:]) for module in module_names(spot.student)],
                            [tuple(sides[1][module].shape[1:]) for module in module_names(spot.teacher) if sides[1]])
                for spot in spots}

    def _spots(self) -> dict[str, Spot | Reconstruction | Adversary]:
        spots: dict[str, Any] = {str(spot.name): spot for spot in self.spots.values()}
        return {**spots,
                **{f'{name}.teacher': spot.reconstruction for name, spot in spots.items() if spot.reconstruction},
                **{f'{name}.discriminator': Adversary(spot) for name, spot in spots.items() if spot.discriminator}}

    def activate(self, train: str | Iterable[str], spots: Mapping[str, float] | Iterable[str] = (),
                 task: float = 0.0, frozen_bn: str = 'eval', cache: FeatureCache | None = None) -> None:
        """Says what learns, and from what.

        Args:
            train: Names of stages or modules of the student, or ``'all'``, which without the task is all up to the
                last active spot. Parameters that the student's own config keeps frozen stay so.
            spots: Names of the active spots, with the weights of their losses (1 for a plain list).
            task: Weight of the student's own losses; 0 turns them off.
            frozen_bn: ``'train'`` lets the statistics of BN outside ``train`` drift.
            cache: Where to keep the teacher's features and those of the student's frozen prefix, as long as nothing
                is activated anew. The images must be the same each time they are seen.

        Raises:
            KeyError: A name does not exist; the closest ones are given.
            RuntimeError: A spot is active and there is no teacher.
            ValueError: What is to be cached changes: BN of frozen modules, or of the teacher, is in training mode, or
                the teacher draws its answers. Or something is named that no loss reaches: the task loss is off, and it
                lies behind the last active spot.
        """
        if cache is not None and getattr(self.teacher, 'random', False):
            raise ValueError('features cannot be cached where the teacher draws its answers: an image has another '
                             "target each time; set `schedule.cache=0`, or `model.teacher.target='mean'`")
        if cache is not None and (frozen_bn == 'train' or (self.teacher is not None and self.teacher.training)):
            raise ValueError("features cannot be cached where frozen BN or the teacher is in mode 'train': they are "
                             'different in every batch')
        train = [train] if isinstance(train, str) else list(train)
        weights = dict(spots) if isinstance(spots, Mapping) else dict.fromkeys(spots, 1.0)
        for name in weights:
            if name not in self._spots():
                raise KeyError(f'there is no spot {name!r}{did_you_mean(name, self.spot_names())}')
        if weights and self.teacher is None:
            raise RuntimeError(f'the spots {list(weights)} are active, but the model has no teacher: name one in '
                               '`model.teacher`')
        paths = self.train_paths(train)
        active = [(self._spots()[name], weight * self._spots()[name].weight) for name, weight in weights.items()]
        self.active = [(spot, weight) for spot, weight in active if not isinstance(spot, Adversary)]
        self.adversaries = [(spot, weight) for spot, weight in active if isinstance(spot, Adversary)]
        self.task = float(task)
        # Without the task there is nothing that a policy could learn from, and no use in an untrained one.
        self.routed = self.router is not None and bool(self.task) and any(
            isinstance(spot, Spot) for spot, _ in self.active)
        self.multi_path = self.routed and self.router is not None and self.router.learns
        if cache is not None and self.multi_path:
            raise ValueError('features cannot be cached where a router learns: its second pass runs both networks on '
                             'mixed features; set `schedule.cache=0`')
        self.frozen_bn = frozen_bn

        self.requires_grad_(False)
        modules = dict(self.student.named_modules())
        live = {id(parameter) for name, parameter in self.student.named_parameters(remove_duplicate=False)
                if _is_within(name, paths)}
        for parameter in self._learnable:
            parameter.requires_grad_(id(parameter) in live)
        if not self.task:
            self._freeze_unreachable(train)
        for spot, _ in active:
            spot.enable_grad()
        if self.multi_path and self.router is not None:
            self.router.requires_grad_(True)
        inside = {name for name in modules if _is_within(name, paths)}
        around = {name for name in modules if any(path.startswith(f'{name}.' if name else '') for path in paths)}
        self._frozen = [module for name, module in modules.items() if name not in inside | around]
        self.cache = cache
        # The stages before the first one that learns; nothing in them changes while this holds.
        learning = [any(_overlaps(part, path) for part in stage.paths for path in paths) for stage in self.stages]
        prefix = self.stages[:learning.index(True)] if any(learning) else []
        self._prefix = [part for stage in prefix for part in stage.modules]
        again = [name for stage in prefix for name in stage.shared]
        if cache is not None and again:
            raise ValueError(f'features cannot be cached: {again} belong to the frozen part of the student and are run '
                             'again behind it; set `schedule.cache=0`')
        self._needed: set[str] | None = None
        self._placeholders: dict[tuple[str, torch.Size], dict[str, Any] | None] = {}
        self.train(self.training)

    def _freeze_unreachable(self, train: Collection[str]) -> None:
        """Leaves out of "all" what lies behind the last active spot, and refuses to train it where it is named.

        A loss that is not there cannot reach it; a data-parallel wrapper would wait for its gradients.
        """
        active = {spot.name for spot, _ in self.active} | {adversary.spot.name for adversary, _ in self.adversaries}
        last = max((k for k, stage in enumerate(self.stages) if stage.name in active), default=-1)
        behind = [path for stage in self.stages[last + 1:] for path in stage.paths]
        unreached = {name: parameter for name, parameter in self.student.named_parameters()
                     if parameter.requires_grad and _is_within(name, behind)}
        if unreached and ALL not in train:
            end = f'{self.stages[last].name!r}, the last active spot' if last >= 0 else 'the input: no spot is active'
            raise ValueError(f'{list(train)} are to learn with the task loss off, and nothing reaches what lies behind '
                             f'{end}: {next(iter(unreached))!r} and {len(unreached) - 1} more parameters')
        for parameter in unreached.values():
            parameter.requires_grad_(False)

    def train_paths(self, train: Iterable[str]) -> list[str]:
        """Where the names of stages and modules lie in the student.

        Args:
            train: See :meth:`activate`.

        Returns:
            Paths of modules, and of single parameters and buffers; ``''`` is the whole student.

        Raises:
            KeyError: There is neither a stage nor a module of that name.
        """
        stages = {stage.name: stage.paths for stage in self.stages}
        paths: list[str] = []
        for name in train:
            if name == ALL:
                return ['']
            paths += stages[name] if name in stages else [self.student_network.module_path(name, [*stages])[0]]
        return paths

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that learn now, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def frozen(self) -> list[Any]:
        """All that cached features depend on apart from the images, for :func:`skd_mm.features.fingerprint`."""
        return [self.data_preprocessor, self.teacher if self.active else None, structure_of(self.student),
                *(self.student.get_submodule(path) for path in self._prefix)]

    def train(self, mode: bool = True) -> 'Distiller':
        """Puts what learns now into training mode, and everything else into eval mode.

        Args:
            mode: False puts all into eval mode.

        Returns:
            The distiller.
        """
        super().train(mode)
        for module in self._frozen if mode and hasattr(self, '_frozen') else ():
            if not (self.frozen_bn == 'train' and isinstance(module, _BatchNorm)):
                module.training = False
        return self

    def generator_loss(self, cases: Sequence[DiscriminatorInput]) -> dict[str, Tensor]:
        """What the student learns from the active discriminators, which learn nothing from it.

        Args:
            cases: What :meth:`forward` gave.

        Returns:
            ``spots.<name>.discriminator.loss``, times their weights.
        """
        return {f'spots.{adversary.name}.loss': weight * adversary.generator_loss(case).mean()
                for (adversary, weight), case in zip(self.adversaries, cases, strict=True)}

    def active_discriminators(self) -> Discriminators | None:
        """The active discriminators as a model, None where there is none."""
        return Discriminators([adversary for adversary, _ in self.adversaries]) if self.adversaries else None

    def _apply(self, fn: Callable, recurse: bool = True) -> 'Distiller':
        # Moves the teacher with the distiller, of which it is no part.
        if self.teacher is not None:
            self.teacher._apply(fn)
        return super()._apply(fn, recurse)

    def init_weights(self) -> None:
        """Initialise the student as its config says, then load its checkpoint if it has one.

        Raises:
            RuntimeError: The config has a ``schedule`` and the Runner's training loop ignores it.
        """
        check_training_loop()
        super().init_weights()
        if self.student_checkpoint is not None:
            load_weights(self.student, self.student_checkpoint, 'student')

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: str = 'tensor') -> Any:
        """MMEngine's one way into a model.

        Args:
            inputs: ``[B, C, H, W]``, normalised by the data preprocessor.
            data_samples: One data sample an image.
            mode: ``'loss'``, ``'adversarial'``, ``'predict'`` or ``'tensor'``.

        Returns:
            ``'loss'``: a dict of losses. ``'adversarial'``: the same, and what each active discriminator is to judge.
            ``'predict'``: the student's predictions where its task is on, else the data
            samples with their spot losses. ``'tensor'``: the student's raw output.
        """
        if self.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'adversarial':
            cases: list[DiscriminatorInput] = []
            return self.loss(inputs, data_samples, cases), cases
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None,
             cases: list[DiscriminatorInput] | None = None) -> dict[str, Any]:
        """The losses of all that is active.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: One data sample an image.
            cases: Filled, if given, with what each active discriminator is to judge.

        Returns:
            The student's own losses, one that it calls ``loss`` as ``task.loss``, and one ``spots.<name>.loss`` a spot,
            times their weights. Where a router decides, ``router.keep.<name>``, the share of the samples that are
            distilled there, and its own losses if it learns.
        """
        # The multi-path pass goes by what the modules give in this one.
        recorded = {role: dict.fromkeys(recorded_paths(entries)) for role, entries in self._entries.items()} \
            if self.multi_path else {}
        outputs, features, targets = self._compute(inputs, data_samples, 'loss' if self.task else 'tensor', recorded)
        losses: dict[str, Any] = {}
        for key, value in (outputs if self.task else {}).items():
            name = _TASK_LOSS if key == 'loss' else key
            if 'loss' not in key or self.task == 1:
                losses[name] = value
            else:
                losses[name] = [part * self.task for part in value] if isinstance(value, list) else value * self.task
        gates, distilled = None, {}
        if self.routed:
            assert self.router is not None
            gates = self.router.draw(features[self._policy_input['student']], targets[self._policy_input['teacher']])
            distilled = self.router.distilled(gates)
            losses.update({f'router.keep.{name}': chosen.float().mean() for name, chosen in distilled.items()})
        for spot, weight in self.active:
            value = self._compare(spot, features, targets, data_samples, distilled.get(spot.name))
            losses[f'spots.{spot.name}.loss'] = weight * value.mean()
        if cases is not None:
            cases += [adversary.case(select_features(features, adversary.student),
                                     select_features(targets, adversary.teacher),
                                     collect_context(data_samples, adversary.needs,
                                                     select_features(targets, adversary.teacher)))
                      for adversary, _ in self.adversaries]
        if self.multi_path:
            assert self.router is not None and self.teacher is not None and gates is not None
            teacher, images = self.teacher, self.teacher_input(inputs, data_samples)
            losses.update(multi_path(
                self.router, gates,
                Branch(self.student_network, lambda mode: self.student(inputs, data_samples, mode=mode),
                     self._entries['student'], recorded['student']),
                Branch(self.teacher_network, lambda mode: teacher(images, data_samples, mode=mode),
                     self._entries['teacher'], recorded['teacher']),
                targets, outputs))
        return losses

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Adds up the losses of a step, see MMEngine's ``BaseModel``.

        Args:
            losses: What :meth:`loss` gave.

        Returns:
            Their sum, and what is logged.

        Raises:
            FloatingPointError: The sum is not finite; the losses that are not are named. Nothing has been learnt from
                them: half precision is unscaled here, so that ``GradScaler`` skips steps as it always does.
        """
        total, logged = super().parse_losses(losses)
        if not torch.isfinite(total):
            bad = [f'{name} is {value.item()}' for name, value in logged.items()
                   if 'loss' in name and not torch.isfinite(value)]
            parts_of_it = [entry for entry in bad if not entry.startswith('loss ')]
            raise FloatingPointError(f'the loss is not finite: {", ".join(parts_of_it or bad)}')
        return total, logged

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> list[Any]:
        """What the evaluator gets.

        Args:
            inputs: ``[B, C, H, W]``.
            data_samples: One data sample an image.

        Returns:
            The student's predictions where its task is on; else the data samples with ``spot_losses``, the losses
            times their weights by name, in their meta information.
        """
        if self.task or not self.active:
            return self._compute(inputs, data_samples, 'predict', {})[0]
        _, features, targets = self._compute(inputs, data_samples, 'tensor', {})
        losses = {spot.name: (weight * self._compare(spot, features, targets, data_samples)).expand(len(inputs))
                  for spot, weight in self.active}
        samples: list[Any] = list(data_samples or (BaseDataElement() for _ in inputs))
        for i, sample in enumerate(samples):
            sample.set_metainfo(dict(spot_losses={name: loss[i].item() for name, loss in losses.items()}))
        return samples

    def _captured(self, side: str) -> set[str]:
        captured = {name for spot, _ in (*self.active, *self.adversaries) for name in module_names(getattr(spot, side))}
        if self.routed:
            captured.add(self._policy_input[side])
        if self.multi_path and side == 'teacher':
            captured |= {self._entries[side][0].end, self._entries[side][-1].end}
        return captured

    @staticmethod
    def _compare(spot: Spot | Reconstruction, features: Mapping[str, Tensor], targets: Mapping[str, Tensor],
                 data_samples: Sequence[Any] | None, gate: Tensor | None = None) -> Tensor:
        return spot(select_features(features, spot.student), select_features(targets, spot.teacher),
                    collect_context(data_samples, spot.needs, select_features(targets, spot.teacher)), gate)

    def _compute(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
                 recorded: Mapping[str, dict[str, Any]]) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
        """The student's output, its features and the teacher's; from the cache where they are in it."""
        kind = mode, inputs.shape[1:]
        # Of a validation with the task, what is worth keeping is known from training; None: nothing can be kept of it.
        cached = self.cache is not None and self._placeholders.get(kind, {}) is not None and (
            mode != 'predict' or bool(self._needed))
        keys = sample_keys(data_samples, inputs.shape[1:]) if cached else None
        if self.cache is None or keys is None:
            return (*self._student(inputs, data_samples, mode, recorded.get('student'), record_fn=placeholder),
                    self._targets(inputs, data_samples, mode, recorded.get('teacher')))
        # What an earlier process of this run has left is read once a batch has shown what is not needed of the rest.
        stored = self.cache.get(keys, inputs.device) if kind in self._placeholders else None
        if stored is None:
            prefix = dict.fromkeys(self._prefix)
            targets = self._targets(inputs, data_samples, mode)
            if self.cache.dtype is None:
                outputs, features = self._student(inputs, data_samples, mode, prefix)
            else:  # what is rounded is rounded from the first time on
                with self._inference_without_side_effects(inputs), torch.no_grad():
                    outputs, features = self._student(inputs, data_samples, mode, prefix)
            if kind not in self._placeholders:
                self._placeholders[kind] = self._find_placeholders(inputs, data_samples, mode, prefix, outputs)
            if self._placeholders[kind] is None:
                return outputs, features, targets
            stored = self.cache.put(keys, {**{f'teacher:{name}': target for name, target in targets.items()},
                                           **{f'student:{name}': prefix[name] for name in self._prefix
                                              if name in (self._needed or ())}})
            if self.cache.dtype is None:
                return outputs, features, targets
        by_side: dict[str, dict[str, Any]] = dict(student={}, teacher={})
        for name, feature in stored.items():
            side, _, path = name.partition(':')
            by_side[side][path] = feature
        unread = self._placeholders[kind] or {}
        replay = {**{name: placeholder(output, len(inputs)) for name, output in unread.items()}, **by_side['student']}
        return *self._student(inputs, data_samples, mode, replay=replay), by_side['teacher']

    def _find_placeholders(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str, prefix: dict[str, Any],
                        outputs: Any) -> dict[str, Any] | None:
        """What takes the place of those outputs of the frozen prefix that the rest of the student does not read.

        Which these are is learnt once a phase; their shapes go with the images'.

        Returns:
            Stand-ins by name; None where the student predicts something else from kept features, as it does where it
            cuts images into windows.
        """
        if self._needed is None:
            with self._inference_without_side_effects(inputs):
                kept = needed_outputs(lambda replay: self._student(inputs, data_samples, mode, replay=replay), prefix)
            self._needed = {name for name, output in kept.items() if output is prefix[name]}
            odd = [name for name in self._prefix if name in self._needed
                   and any(not tensor.dim() or len(tensor) != len(inputs) for tensor in tree_leaves(prefix[name]))]
            if odd:
                print_log(f'the frozen part of the student is run for every batch: the outputs of {odd} are not one '
                          'entry an image and cannot be cached', logger='current', level=logging.WARNING)
                self._prefix, self._needed = [], set()
        placeholders = {name: placeholder(prefix[name]) for name in self._prefix if name not in self._needed}
        if mode == 'predict':
            try:
                again = self._student(inputs, copy.deepcopy(data_samples), mode, replay={**prefix, **placeholders})[0]
            except RuntimeError:  # windows of another size
                return None
            if not all(map(equal, outputs, again)):
                return None
        return placeholders

    @contextmanager
    def _inference_without_side_effects(self, inputs: Tensor) -> Iterator[None]:
        """For the time of this the student can be run without a trace in it, or in the random state."""
        training = {module: module.training for module in self.student.modules()}
        self.student.eval()
        try:
            with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
                yield
        finally:
            for module, was in training.items():
                module.training = was

    @torch.no_grad()
    def _targets(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
                 record: dict[str, Any] | None = None) -> dict[str, Tensor]:
        """The teacher's features at the active spots; it runs no further than the last of them."""
        if mode == 'predict' or not (self.active or self.adversaries):
            return {}
        assert self.teacher is not None
        teacher, images = self.teacher, self.teacher_input(inputs, data_samples)
        return self.teacher_network.run(lambda: teacher(images, data_samples, mode='tensor'),
                                        capture=self._captured('teacher'), stop=True, record=record,
                                        record_fn=placeholder)[1]

    def _student(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
                 record: dict[str, Any] | None = None, replay: Mapping[str, Any] | None = None,
                 record_fn: Callable[[Any], Any] = copied) -> tuple[Any, dict[str, Tensor]]:
        """The student's output and features; without its task it runs no further than the last active spot.

        ``record``, if given, is filled with the outputs of the modules that are its keys.
        """
        return self.student_network.run(lambda: self.student(inputs, data_samples, mode=mode),
                                        capture=self._captured('student') if mode != 'predict' else (),
                                        stop=mode == 'tensor',
                                        record=record, replay=replay, record_fn=record_fn)


def _key(name: str) -> str:
    """A spot's name as a key of a ModuleDict, which may have no dots."""
    return name.replace('.', '/')


def _input_channels(network: nn.Module) -> int:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def _is_within(name: str, paths: Iterable[str]) -> bool:
    """Whether a module or parameter is, or lies in, one of the named ones."""
    return any(not path or name == path or name.startswith(f'{path}.') for path in paths)


def _overlaps(one: str, other: str) -> bool:
    """Whether one of two module paths lies in the other."""
    return not one or not other or one == other or one.startswith(f'{other}.') or other.startswith(f'{one}.')
