"""A model of which each phase trains a part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import nn

from skd_mm.features import FeatureCache, FeatureExtractor, NetworkPair, Stage, structure_of
from skd_mm.routing import Router

from .active_phase import ActivePhase, PhaseResolver
from .freezing import enable_gradients, freeze_modules, freeze_untrained
from .samples import training_keys


class PhasedModel(BaseModel):
    """A student and its teacher, of which each phase trains a part and freezes the rest.

    Freezing and the modes of BN live in :meth:`train`, because MMEngine's loops call it in every epoch or iteration.

    Attributes:
        student: The student.
        teacher_network: The teacher as a feature extractor, or None. It is none of the modules: in no checkpoint, no
            EMA copy and no ``init_weights``.
        spots: The spots.
        router: The router, or None.
        stages: The student's stages in the order of its forward pass, the task head last.
        stage_modules: The name of the module at the end of each stage; empty for the task head.
        stage_spots: The names of the spots at each stage, by its name.
        resolver: Resolves what is active.
        pair: Runs both networks.
        active: The active parts.
    """

    student: nn.Module
    teacher_network: FeatureExtractor | None
    router: Router | None
    spots: nn.ModuleDict
    stages: Sequence[Stage]
    stage_modules: Sequence[str]
    stage_spots: Mapping[str, Sequence[str]]
    resolver: PhaseResolver
    pair: NetworkPair
    active: ActivePhase
    # Shape of the images of the last training batch, and their device.
    _last_images: tuple[torch.Size, torch.device] | None

    @property
    def teacher(self) -> nn.Module | None:
        """The teacher, or None."""
        return self.teacher_network.model if self.teacher_network is not None else None

    def stage_names(self) -> list[str]:
        """Return the names of the stages in the order of the forward pass, ``'task_head'`` last."""
        return [stage.name for stage in self.stages]

    def outline(self) -> list[dict[str, Any]]:
        """Return what a recipe needs to know of each stage: ``name``, ``spots`` and ``module``, the one at its end."""
        return [dict(name=stage.name, spots=tuple(self.stage_spots[stage.name]), module=module)
                for stage, module in zip(self.stages, self.stage_modules, strict=True)]

    def spot_names(self) -> list[str]:
        """Return the names of all that can be active: the spots in the order of the stages, then what is theirs."""
        return list(self.resolver.spots)

    def activate(self, train: str | Iterable[str], spots: Mapping[str, float] | Iterable[str] = (),
                 task: float = 0.0, frozen_bn: str = 'eval', cache: FeatureCache | None = None,
                 teacher_forcing: Sequence[str] = (), predicts: bool | None = None) -> None:
        """Choose what is trained, and on which losses.

        Args:
            train: Names of stages or modules of the student; ``'all'`` means all that a loss reaches. Parameters that
                the student's own config keeps frozen stay so.
            spots: Names of the active spots, with the weights of their losses (1 for a plain list).
            task: Weight of the student's own losses; 0 turns them off.
            frozen_bn: ``'train'`` lets the statistics of BN outside ``train`` drift.
            cache: Where to keep the teacher's features and the outputs of the student's frozen prefix until the next
                call. The images must be the same each time they are read.
            teacher_forcing: Names of active spots after which the student continues with the teacher's feature.
            predicts: Whether validations get the student's predictions instead of the losses at the active spots; by
                default if the task is on or no spot is active.

        Raises:
            KeyError: A name does not exist; the closest ones are given.
            RuntimeError: A spot is active and there is no teacher.
            ValueError: What is to be cached changes from batch to batch, or what is to be trained is reached by no
                loss; or a feature cannot be replaced by the teacher's.
        """
        active = self.resolver.resolve(train, spots, task, frozen_bn, teacher_forcing, predicts)
        if cache is not None and active.uncacheable is not None:
            raise ValueError(active.uncacheable)
        self.active = active
        self.requires_grad_(False)
        enable_gradients(self.student, active.parameters)
        for term, _ in active.terms:
            term.enable_grad()
        for spot in active.forced:
            spot.input_connector.requires_grad_(True)
        if active.multi_path and self.router is not None:
            self.router.requires_grad_(True)
        self.pair.prepare(active.plan, cache)
        self._last_images = None
        self.train(self.training)

    @property
    def cache(self) -> FeatureCache | None:
        """Where features are kept in this phase, or None."""
        return self.pair.cache

    def prefetch(self, samples: Sequence[tuple[int, ...]]) -> None:
        """Begin to read the features of the next training batch from the cache, in a thread.

        Args:
            samples: The index of each sample in the training set, and the number of its view if there are several. The
                images are expected to be as large as those of the last batch.
        """
        if self.cache is not None and self._last_images is not None:
            shape, device = self._last_images
            self.cache.prefetch(training_keys(samples, shape), device)

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are trained now, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def frozen(self) -> list[Any]:
        """Return all that cached features depend on, apart from the images, for a fingerprint."""
        return [self.data_preprocessor, self.teacher if self.active.needs_teacher else None,
                structure_of(self.student),
                *(self.student.get_submodule(path) for path in self.active.plan.frozen_prefix)]

    def train(self, mode: bool = True) -> 'PhasedModel':
        """Put what is trained into training mode, and everything else into eval mode.

        Args:
            mode: False puts all into eval mode.

        Returns:
            The model itself.
        """
        super().train(mode)
        if mode and hasattr(self, 'active'):
            freeze_modules(self.student, self.active.frozen_modules, self.active.frozen_bn)
            freeze_untrained(part for spot in self.spots.values() for part in spot.children())
        return self

    def _apply(self, fn: Callable, recurse: bool = True) -> 'PhasedModel':
        # The teacher moves with the distiller, although it is none of its modules.
        if self.teacher is not None:
            self.teacher._apply(fn)
        return super()._apply(fn, recurse)
