"""Runs both networks for a batch: as far as a phase needs, and from the cache where possible."""

import copy
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from mmengine.logging import print_log
from torch import Tensor

from skd_mm.utils import ImageSize, tree_equal, tree_leaves, tree_map

from .auxiliary import call_model
from .cache import FeatureCache
from .extractor import FeatureExtractor, copied
from .placeholders import needed_outputs, placeholder, resized
from .temporary_modes import constant_statistics, side_effect_free

TeacherForcing = Callable[[Mapping[str, Tensor]], Mapping[str, Callable[[Tensor], Tensor]]]
"""Given the teacher's features by name, returns functions by the names of the student's features: each gets the
student's feature and returns what its later modules get instead."""


class TeacherImages(Protocol):
    """Makes the teacher's images of the student's."""

    def __call__(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> Tensor:
        """Return the teacher's images, ``[B, C, H', W']``."""

    def size(self, image: ImageSize) -> ImageSize:
        """Return the size of the teacher's images, given that of the student's."""


@dataclass(frozen=True)
class ForwardPlan:
    """Features and modules of both networks that a phase needs.

    Attributes:
        student: Names of the student's features.
        teacher: Names of the teacher's features; the teacher is not run without any.
        frozen_prefix: Paths of the student's modules before the first one that is trained; what they return for an
            image does not change during the phase.
    """

    student: frozenset[str] = frozenset()
    teacher: frozenset[str] = frozenset()
    frozen_prefix: tuple[str, ...] = ()


ImageSizes = tuple[ImageSize, ImageSize]
"""The sizes of the student's images and of the teacher's."""


class PairOutputs(NamedTuple):
    """Outputs of both networks for a batch.

    Attributes:
        student: The student's output; None if it was stopped after its last feature.
        features: The student's features by name, ``[B, ...]``.
        targets: The teacher's features by name, ``[B, ...]``.
        images: The sizes of the student's images and of the teacher's; None if the inputs are no images.
    """

    student: Any
    features: dict[str, Tensor]
    targets: dict[str, Tensor]
    images: ImageSizes | None = None


class NetworkPair:
    """Runs student and teacher on a batch, neither further than a phase needs.

    With a cache, the teacher's features and the outputs of the student's frozen prefix are computed once per sample
    and read back from then on; the rest of the student runs on them. Only those outputs of the prefix that the rest
    reads are kept, which is found out with two samples when the first batch arrives.

    Args:
        student: The student.
        teacher: The teacher; None if there is none.
        teacher_images: Makes the teacher's images of the student's.
    """

    def __init__(self, student: FeatureExtractor, teacher: FeatureExtractor | None,
                 teacher_images: TeacherImages | None) -> None:
        self.student = student
        self.teacher = teacher
        self.teacher_images = teacher_images
        self.prepare(ForwardPlan())

    def prepare(self, plan: ForwardPlan, cache: FeatureCache | None = None) -> None:
        """Begin a phase.

        Args:
            plan: The features and modules that it needs.
            cache: Where features are kept during the phase; None computes them for every batch.
        """
        self.plan = plan
        self.cache = cache
        self._prefix = plan.frozen_prefix
        self._needed: frozenset[str] | None = None
        self._placeholders: dict[Hashable, dict[str, Any] | None] = {}

    def run(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
            keys: Sequence[Hashable] | None = None,
            record: Mapping[str, dict[str, Any]] | None = None,
            forcing: TeacherForcing | None = None) -> PairOutputs:
        """Run both networks.

        Args:
            inputs: ``[B, C, H, W]``, the student's images.
            data_samples: One per image.
            mode: How the student is called: ``'loss'``, ``'predict'`` (without features and teacher), or ``'tensor'``,
                which stops it after its last feature.
            keys: Keys of the images in the cache; None to not use it.
            record: For ``'student'`` and ``'teacher'``, dicts whose keys are paths of modules. They are filled with
                placeholders for the modules' outputs.
            forcing: Replaces features of the student by the teacher's for its later modules; None replaces none.
                Nothing is recorded with it.

        Returns:
            The student's output, and the features of both.
        """
        if self.cache is not None and keys is not None and self._can_replay(inputs, data_samples, mode):
            return self._run_cached(self.cache, inputs, data_samples, mode, keys, forcing)
        record = record or {}
        if forcing is not None:
            targets = self._run_teacher(inputs, data_samples)
            output, features = self._run_student(inputs, data_samples, mode, replace=forcing(targets))
            return PairOutputs(output, features, targets, self.image_sizes(inputs))
        output, features = self._run_student(inputs, data_samples, mode, record=record.get('student'),
                                             record_fn=placeholder)
        targets = {} if mode == 'predict' else self._run_teacher(inputs, data_samples, record.get('teacher'))
        return PairOutputs(output, features, targets, self.image_sizes(inputs))

    def image_sizes(self, inputs: Tensor) -> ImageSizes | None:
        """Return the sizes of the images of both networks.

        Args:
            inputs: ``[B, C, H, W]``, the student's images.

        Returns:
            The student's, and the teacher's (the same without a teacher); None if the inputs are no images.
        """
        if inputs.dim() != 4:
            return None
        image = (inputs.shape[2], inputs.shape[3])
        return image, image if self.teacher_images is None else self.teacher_images.size(image)

    def unread_outputs(self, inputs: Tensor, mode: str) -> dict[str, Any]:
        """Return what replaces the outputs of the frozen prefix that the rest of the student does not read.

        Args:
            inputs: ``[B, C, H, W]``; images of that size have been run through the cache in this phase.
            mode: The mode in which they were run.

        Returns:
            Placeholders by the modules' paths.
        """
        unread = self._placeholders.get(_kind(inputs, mode)) or {}
        return {name: resized(output, len(inputs)) for name, output in unread.items()}

    def _run_cached(self, cache: FeatureCache, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
                    keys: Sequence[Hashable], forcing: TeacherForcing | None) -> PairOutputs:
        missing = cache.missing(keys)
        computed = None
        if missing:
            # Among other images one rounds differently in most kernels: as long as all of them will be in the cache, a
            # batch is computed as a whole, and gives what it does without a cache.
            whole = not cache.full or torch.are_deterministic_algorithms_enabled()
            computed = self._compute_missing(inputs, data_samples, mode, missing, whole)
            computed = cache.put([keys[row] for row in missing], computed)
        try:
            stored = cache.read(keys, inputs.device, missing, computed)
        except KeyError:
            # Memory or the disk has ended since, and the cache gave some of the others up.
            rows = list(range(len(keys)))
            computed = self._compute_missing(inputs, data_samples, mode, rows, whole=True)
            stored = cache.read(keys, inputs.device, rows, computed)
        sides: dict[str, dict[str, Any]] = dict(student={}, teacher={})
        for name, feature in stored.items():
            side, _, path = name.partition(':')
            sides[side][path] = feature
        replay = {**self.unread_outputs(inputs, mode), **sides['student']}
        output, features = self._run_student(inputs, data_samples, mode, replay=replay,
                                             replace=forcing and forcing(sides['teacher']))
        return PairOutputs(output, features, sides['teacher'], self.image_sizes(inputs))

    def _compute_missing(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
                         rows: Sequence[int], whole: bool) -> dict[str, Any]:
        """Compute the features to cache, for those images of a batch that are not in the cache."""
        part = len(rows) < len(inputs)
        if part and not whole:
            inputs = inputs[torch.tensor(rows, device=inputs.device)]
            data_samples = [data_samples[row] for row in rows] if data_samples is not None else None
        targets = {} if mode == 'predict' else self._run_teacher(inputs, data_samples)
        kept = {f'teacher:{name}': target for name, target in targets.items()}
        if self._needed:
            prefix: dict[str, Any] = {path: None for path in self._prefix if path in self._needed}
            # Modules that are trained may run before the last one that is recorded.
            with side_effect_free(self.student.model, inputs.device), torch.no_grad():
                self.student.run(lambda: call_model(self.student.model, inputs, data_samples, mode, prefix),
                                 stop=True, record=prefix)
            kept.update({f'student:{name}': output for name, output in prefix.items()})
        if part and whole:
            chosen = torch.tensor(rows, device=inputs.device)
            kept = tree_map(lambda feature: feature[chosen.to(feature.device)], kept)
        return kept

    def _can_replay(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str) -> bool:
        # Which outputs of the prefix a prediction reads is known from training, or not at all.
        if mode == 'predict' and not self._needed:
            return False
        kind = _kind(inputs, mode)
        if kind not in self._placeholders:
            self._placeholders[kind] = self._find_placeholders(inputs, data_samples, mode)
        return self._placeholders[kind] is not None

    def _find_placeholders(self, inputs: Tensor, data_samples: Sequence[Any] | None,
                           mode: str) -> dict[str, Any] | None:
        """Find what replaces those outputs of the frozen prefix that the rest of the student does not read.

        Returns:
            Placeholders by path, for two images; None if the student predicts something else from kept features, as it
            does if it cuts images into windows, or if it cannot be run in eval mode, as the losses of PIDNet.
        """
        if not self._prefix:
            self._needed = frozenset()
            return {}
        # With two images, an output of one entry per image can be told from one that is the same for all.
        rows = [0, min(1, len(inputs) - 1)]
        images = inputs[rows]

        def run(**options: Any) -> tuple[Any, dict[str, Tensor]]:
            samples = copy.deepcopy([data_samples[row] for row in rows]) if data_samples is not None else None
            return self._run_student(images, samples, mode, **options)

        with side_effect_free(self.student.model, inputs.device), torch.no_grad():
            prefix: dict[str, Any] = dict.fromkeys(self._prefix)
            calls: Counter[str] = Counter()
            try:
                output = self.student.watch(lambda: run(record=prefix)[0], lambda path, _: calls.update([path]))
            except Exception as error:  # an error that also occurs in training is raised there
                print_log('nothing is cached: in eval mode, the student fails with '
                          f'{type(error).__name__}: {error}', logger='current', level=logging.WARNING)
                return None
            # Lists of modules are not called themselves. A module that runs several times (one ReLU of many features)
            # has one output for each, so it is not replayed.
            prefix = {path: value for path, value in prefix.items() if calls[path] == 1}
            self._prefix = tuple(prefix)
            if self._needed is None:
                self._needed = self._find_needed(lambda replay: run(replay=replay), prefix)
            unread = {name: placeholder(prefix[name]) for name in self._prefix if name not in self._needed}
            if mode == 'predict':
                try:
                    again = run(replay={**prefix, **unread})[0]
                except RuntimeError:  # windows of another size
                    return None
                if not tree_equal(output, again):
                    return None
        return unread

    def _find_needed(self, run: Callable[[Mapping[str, Any]], Any], prefix: dict[str, Any]) -> frozenset[str]:
        kept = needed_outputs(run, prefix)
        needed = frozenset(name for name, output in kept.items() if output is prefix[name])
        odd = [name for name in self._prefix if name in needed
               and any(not tensor.dim() or len(tensor) != 2 for tensor in tree_leaves(prefix[name]))]
        if not odd:
            return needed
        print_log(f'the frozen part of the student runs for every batch: the outputs of {odd} do not have one entry '
                  'per image and cannot be cached', logger='current', level=logging.WARNING)
        self._prefix = ()
        return frozenset()

    @torch.no_grad()
    def _run_teacher(self, inputs: Tensor, data_samples: Sequence[Any] | None,
                     record: dict[str, Any] | None = None) -> dict[str, Tensor]:
        """The teacher's features; it runs no further than the last of them."""
        if not self.plan.teacher:
            return {}
        assert self.teacher is not None and self.teacher_images is not None
        network, images = self.teacher, self.teacher_images(inputs, data_samples)
        with constant_statistics(network.model) if network.model.training else nullcontext():
            return network.run(lambda: call_model(network.model, images, data_samples, names=self.plan.teacher),
                               capture=self.plan.teacher, stop=True, record=record, record_fn=placeholder)[1]

    def _run_student(self, inputs: Tensor, data_samples: Sequence[Any] | None, mode: str,
                     record: dict[str, Any] | None = None, replay: Mapping[str, Any] | None = None,
                     record_fn: Callable[[Any], Any] = copied,
                     replace: Mapping[str, Callable[[Tensor], Tensor]] | None = None) -> tuple[Any, dict[str, Tensor]]:
        """The student's output and features; in mode ``'tensor'`` it runs no further than the last feature."""
        capture = self.plan.student if mode != 'predict' else ()
        return self.student.run(
            lambda: call_model(self.student.model, inputs, data_samples, mode, [*capture, *(record or ())]),
            capture=capture, stop=mode == 'tensor', record=record, replay=replay, record_fn=record_fn, replace=replace)


def _kind(inputs: Tensor, mode: str) -> Hashable:
    """Return everything that the shapes of a network's outputs depend on, except for the number of images."""
    return mode, tuple(inputs.shape[1:])
