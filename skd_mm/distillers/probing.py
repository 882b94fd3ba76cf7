"""Probing networks when a distiller is built: each of them runs once on zeros."""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from skd_mm.features import (
    FeatureExtractor,
    ImageSizes,
    StageEntry,
    StageSplit,
    backbone_stages,
    call_model,
    find_stage_entries,
    head_feature,
    match_stages,
    side_effect_free,
    split_stages,
)
from skd_mm.tasks import task_of

from .spot import module_names

T = TypeVar('T')


class InputShapeError(ValueError):
    """A network could not be run on an image of some shape."""


def example_shapes(networks: Iterable[nn.Module | None], channels: int) -> list[tuple[int, int, int]]:
    """Return shapes of images on which networks may be run, the cheapest one first.

    Args:
        networks: The networks that all take the same image; None is skipped.
        channels: The number of channels.

    Returns:
        ``(C, H, W)`` of each, see :meth:`skd_mm.tasks.Task.input_sizes`.
    """
    sizes = {size for network in networks if network is not None for size in task_of(network).input_sizes(network)}
    return [(channels, *size) for size in sorted(sizes, key=math.prod)]


def first_that_fits(shapes: Sequence[Sequence[int]], run: Callable[[Sequence[int]], T]) -> tuple[Sequence[int], T]:
    """Return the first shape on which something can be run, and the result.

    Args:
        shapes: Shapes of images.
        run: Function of a shape.

    Returns:
        The shape and what ``run`` returned.

    Raises:
        InputShapeError: There is none; the error is that of the first shape.
    """
    errors = []
    for shape in shapes:
        try:
            return shape, run(shape)
        except InputShapeError as error:
            errors.append(error)
    raise errors[0]


def probe(network: FeatureExtractor, shape: Sequence[int], look: Callable[[Callable[[], Any]], Any],
          names: Collection[str] = ()) -> Any:
    """Inspect a network while it runs on zeros, in eval mode.

    Args:
        network: The network; its modes are restored.
        shape: ``(C, H, W)`` of the student's images; the zeros have the size that the network gets for these.
        look: Function of a callable that runs the network.
        names: Names of the inspected modules; auxiliary heads run only for these.

    Returns:
        The result of ``look``.

    Raises:
        KeyError: The network does not have a requested module.
        InputShapeError: It could not be run.
    """
    shape = own_shape(network, shape)
    try:
        with side_effect_free(network.model), torch.no_grad():
            return look(lambda: call_model(network.model, torch.zeros(1, *shape), names=names))
    except KeyError as error:
        raise KeyError(f'model.spots: {error.args[0]}') from None
    except (AssertionError, AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError) as error:
        raise InputShapeError(f'model.{network.role}: the {network.role} could not be run on zeros of shape '
                         f'{list(shape)}; if the size is at fault, set model.input_shape to one that it takes: '
                         f'{type(error).__name__}: {error}') from error


def own_shape(network: FeatureExtractor, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the images that a network gets.

    Args:
        network: The network.
        shape: ``(C, H, W)`` of the student's images; any other shape is no image's.

    Returns:
        The same with the network's own size.
    """
    if len(shape) != 3:
        return tuple(shape)
    return shape[0], *network.image_size((shape[1], shape[2]))


def image_sizes(student: FeatureExtractor, teacher: FeatureExtractor | None,
                shape: Sequence[int]) -> ImageSizes | None:
    """Return the sizes of the images that both networks get.

    Args:
        student: The student.
        teacher: The teacher; None takes the student's size for it.
        shape: ``(C, H, W)`` of the student's images.

    Returns:
        The student's and the teacher's; None if the shape is no image's.
    """
    if len(shape) != 3:
        return None
    image = student.image_size((shape[1], shape[2]))
    return image, image if teacher is None else teacher.image_size((shape[1], shape[2]))


def split_at(network: FeatureExtractor, shape: Sequence[int], cuts: Sequence[str],
             features: Collection[str]) -> StageSplit:
    """Cut a network into stages.

    Args:
        network: The network.
        shape: ``(C, H, W)`` of an image.
        cuts: Names of the features at the ends of the stages.
        features: Names of all features that are of interest.

    Returns:
        See :func:`skd_mm.features.split_stages`.
    """
    return probe(network, shape, lambda call: split_stages(network, call, cuts, features), [*cuts, *features])


def features_at(network: FeatureExtractor, shape: Sequence[int], modules: Collection[str]) -> dict[str, Tensor]:
    """Return examples of the features at the named modules, which may be in any order.

    Args:
        network: The network.
        shape: ``(C, H, W)`` of the image.
        modules: Their names.

    Returns:
        ``[1, ...]`` by name.
    """
    found = probe(network, shape, lambda call: split_stages(network, call, (), modules).features, modules)
    return {name: found[name] for name in modules}


def spot_shapes(spots: Iterable[Any], student: FeatureExtractor, teacher: FeatureExtractor | None,
                shape: Sequence[int]) -> dict[str, tuple[list[tuple[int, ...]], list[tuple[int, ...]]]]:
    """Return the shapes of the features that are compared, before any connector.

    Args:
        spots: The spots.
        student: The student.
        teacher: The teacher, or None.
        shape: ``(C, H, W)`` of an image.

    Returns:
        By the name of the spot, the shapes at the student's modules and at the teacher's (none without a teacher).
    """
    spots = list(spots)

    def shapes(network: FeatureExtractor | None, side: str) -> dict[str, list[tuple[int, ...]]]:
        named = {spot.name: module_names(getattr(spot, side)) for spot in spots}
        if network is None or not named:
            return {name: [] for name in named}
        found = features_at(network, shape, {module for modules in named.values() for module in modules})
        return {name: [tuple(found[module].shape[1:]) for module in modules] for name, modules in named.items()}

    own, theirs = shapes(student, 'student'), shapes(teacher, 'teacher')
    return {name: (own[name], theirs[name]) for name in own}


def stage_entries(network: FeatureExtractor, shape: Sequence[int], modules: Sequence[str]) -> list[StageEntry]:
    """Return how to run a network from each of the named modules.

    Args:
        network: The network.
        shape: ``(C, H, W)`` of an image.
        modules: Their names, in the order of the forward pass.

    Returns:
        See :func:`skd_mm.features.find_stage_entries`, which tries it on an image that is not constant.
    """
    size = own_shape(network, shape)
    image = torch.linspace(-1, 1, math.prod(size)).view(1, *size)
    return probe(network, shape,
                 lambda call: find_stage_entries(network, lambda: call_model(network.model, image), modules))


def stage_pairs(student: FeatureExtractor, teacher: FeatureExtractor | None, shape: Sequence[int],
                student_stages: Sequence[str] | None = None,
                teacher_stages: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Return the modules at the ends of the stages that both networks have.

    Args:
        student: The student.
        teacher: The teacher, if there is one; else the student's stages are paired with themselves.
        shape: ``(C, H, W)`` of an image.
        student_stages: The ends of its stages; the backbone's own by default.
        teacher_stages: The same for the teacher.

    Returns:
        ``(student module, teacher module)`` in the order of the forward pass.
    """

    def ends(network: FeatureExtractor, names: Sequence[str] | None) -> list[tuple[str, Tensor]]:
        if names is None:
            return probe(network, shape, lambda call: backbone_stages(network, call))
        features = features_at(network, shape, names)
        return [(name, features[name]) for name in names]

    own = ends(student, student_stages)
    if teacher is None:
        return [(name, name) for name, _ in own]
    pairs, alone = match_stages(own, ends(teacher, teacher_stages), image_sizes(student, teacher, shape))
    if alone:
        print_log(f'model.spots: these stages have no counterpart: {alone}', logger='current', level=logging.WARNING)
    return pairs


def head_features(student: FeatureExtractor, teacher: FeatureExtractor | None, shape: Sequence[int]) -> tuple[str, str]:
    """Return the names of the last features of both heads.

    Args:
        student: The student.
        teacher: The teacher, if there is one; else the student's name is returned twice.
        shape: ``(C, H, W)`` of an image.

    Returns:
        The student's and the teacher's.

    Raises:
        ValueError: One of the heads has none, see :func:`skd_mm.features.head_feature`.
    """
    names = []
    for network in (student, teacher or student):
        classifier = task_of(network.model).classifier(network.model)
        names.append(probe(network, shape, partial(head_feature, network, classifier)))
    return names[0], names[1]


def pooled_feature(network: FeatureExtractor, shape: Sequence[int]) -> str:
    """Return the name of the module with a classifier's pooled feature, or else of the end of the backbone.

    Args:
        network: The network.
        shape: ``(C, H, W)`` of an image.

    Returns:
        Its name.
    """
    name = task_of(network.model).pooled
    output = dict(probe(network, shape, network.trace)).get(name)
    last = output[-1] if isinstance(output, list | tuple) else output
    if isinstance(last, Tensor) and last.dim() == 2:
        return name if last is output else f'{name}[-1]'
    return probe(network, shape, lambda call: backbone_stages(network, call))[-1][0]


def input_channels(network: nn.Module) -> int:
    """Return the number of channels that a network's first convolution takes; 3 if it has none."""
    return next((module.in_channels for module in network.modules() if isinstance(module, nn.Conv2d)), 3)
