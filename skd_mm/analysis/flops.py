"""What a network and a schedule cost: parameters, MACs, and floating point operations of training.

Operations are counted by PyTorch's own counter while the real step runs: convolutions and matrix products, two
operations a multiply-accumulate, forward and backward. Validation is left out. A baseline is compared fairly when it
may spend what the whole schedule spends (SKD, arXiv 1911.06786, gives its baselines a single phase's length).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.structures import PixelData
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skd_mm.datasets.building import build_dataset
from skd_mm.datasets.fraction import check_fraction, fraction_indices
from skd_mm.distillers import Distiller
from skd_mm.distillers.probing import input_channels
from skd_mm.features import FeatureCache
from skd_mm.registry import RECIPES, build
from skd_mm.schedules import Phase
from skd_mm.utils import INDEX

BATCH = 2  # the least that batch norm trains on where a feature is one pixel large


@dataclass(frozen=True)
class NetworkCost:
    """What a network costs.

    Attributes:
        parameters: All of them.
        macs: Multiply-accumulates of one image's forward.
    """

    parameters: int
    macs: int


@dataclass(frozen=True)
class PhaseCost:
    """What an image costs in a phase of training, in floating point operations.

    Attributes:
        name: The phase.
        trainable: Parameters that learn in it.
        truncated: Teacher and student forward as far as they are needed, and the backward: what a run without a cache
            does with each image in each epoch.
        cached: The same with every feature that does not change within the phase read from the cache. As much as
            ``truncated`` where nothing can be kept.
        fill: What computing the kept features costs, once an image and phase.
    """

    name: str
    trainable: int
    truncated: int
    cached: int
    fill: int


@dataclass(frozen=True)
class TrainingCost:
    """What a schedule costs, in floating point operations.

    Attributes:
        truncated: Without a cache.
        cached: With one, what filling it costs included.
        iterations: Of all phases together.
    """

    truncated: int
    cached: int
    iterations: int


def network_cost(model: nn.Module, shape: Sequence[int]) -> NetworkCost:
    """Counts a network.

    Args:
        model: A model of mmsegmentation or mmpretrain; it is left as it was.
        shape: ``(C, H, W)`` of the image.

    Returns:
        Its parameters, and the MACs of its forward in mode ``'tensor'``.
    """
    device = _device(model)
    with _unchanged(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()
        model(torch.zeros(1, *shape, device=device), mode='tensor')
    return NetworkCost(sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2)


def schedule_cost(distiller: Distiller, phases: Sequence[Phase], shape: Sequence[int]) -> list[PhaseCost]:
    """Runs a training step of every phase on a made-up batch, and counts it.

    Args:
        distiller: The distiller. Parameters, buffers and gradients are as before afterwards, what is active is not:
            call :meth:`~skd_mm.distillers.Distiller.activate` before it is used again.
        phases: The phases, with names of its stages and spots.
        shape: ``(C, H, W)`` of the images.

    Returns:
        One entry a phase.
    """
    device = _device(distiller)
    inputs = torch.zeros(BATCH, *shape, device=device)
    samples = made_up_samples(distiller.student, shape, device, BATCH)
    costs = []
    with _unchanged(distiller, distiller.teacher):
        for phase in phases:
            distiller.activate(phase.train, phase.spots, phase.task, phase.frozen_bn)
            distiller.train()
            trainable = sum(parameter.numel() for parameter in distiller.trainable().values())
            truncated = cached = _step(distiller, inputs, samples)
            if distiller.active.cacheable:
                distiller.activate(phase.train, phase.spots, phase.task, phase.frozen_bn, FeatureCache(2**62))
                distiller.loss(inputs, samples)  # fills it
                cached = _step(distiller, inputs, samples)
            costs.append(PhaseCost(phase.name, trainable, truncated, cached, truncated - cached))
            distiller.pair.cache = None
    return costs


def training_flops(costs: Sequence[PhaseCost], phases: Sequence[Phase], images: int | Callable[[float], int],
                   batch_size: int) -> TrainingCost:
    """Adds up a schedule.

    Args:
        costs: What :func:`schedule_cost` gave.
        phases: Their phases.
        images: How many images the training set has, of which a phase sees ``floor(images * fraction)``; or what gives
            the number for a fraction, where classes are cut one by one.
        batch_size: Images an iteration, on all devices together.

    Returns:
        The cost of all phases.

    Raises:
        ValueError: A phase has fewer images than a batch.
    """
    truncated = cached = iterations = 0
    for cost, phase in zip(costs, phases, strict=True):
        seen = images_of(phase, images)
        length = phase.iters if phase.iters is not None else int(phase.epochs or 0) * _epoch(seen, batch_size)
        iterations += length
        truncated += length * batch_size * cost.truncated
        cached += length * batch_size * cost.cached + min(seen, length * batch_size) * cost.fill
    return TrainingCost(truncated, cached, iterations)


def images_of(phase: Phase, images: int | Callable[[float], int]) -> int:
    """How many images a phase sees.

    Args:
        phase: The phase.
        images: As for :func:`training_flops`.

    Returns:
        The number.
    """
    return images(phase.fraction) if callable(images) else int(images * check_fraction(phase.fraction))


def equal_epochs(total: int, per_image: int, images: int, batch_size: int) -> int:
    """The number of epochs a phase that gives a baseline the same training cost.

    Args:
        total: Floating point operations that may be spent.
        per_image: What all phases of the baseline spend together, an image and epoch.
        images: Images that the baseline trains on.
        batch_size: Images an iteration.

    Returns:
        The nearest number of epochs of ``floor(images / batch_size)`` iterations, at least 1.

    Raises:
        ValueError: There are fewer images than a batch.
    """
    return max(1, round(total / (per_image * batch_size * _epoch(images, batch_size))))


def config_cost(cfg: Config, shape: Sequence[int] | None = None) -> tuple[Distiller, list[Phase], list[PhaseCost]]:
    """Counts the schedule of a config, with random weights: no checkpoint needs to be there.

    Args:
        cfg: A config with a distiller and a ``schedule``.
        shape: ``(C, H, W)`` of the images; by default as the training pipeline makes them, see :func:`config_shape`.

    Returns:
        The distiller, the phases and what each costs.

    Raises:
        ValueError: The config has no schedule, or the shape cannot be told from it.
    """
    distiller = build_model(cfg)
    phases = config_phases(cfg, distiller)
    return distiller, phases, schedule_cost(distiller, phases, shape or config_shape(cfg, distiller))


def config_phases(cfg: Config, distiller: Distiller) -> list[Phase]:
    """The phases of a config.

    Args:
        cfg: The config.
        distiller: Its model.

    Returns:
        The phases.

    Raises:
        ValueError: The config has no schedule.
    """
    if 'schedule' not in cfg:
        raise ValueError('the config has no `schedule`: there are no phases to count')
    return build(RECIPES, cfg.schedule).phases(distiller.outline(), distiller.spot_names())


def config_images(cfg: Config) -> Callable[[float], int] | None:
    """How many training images a config's data set has.

    Args:
        cfg: The config.

    Returns:
        What gives the number for a fraction, as :func:`training_flops` takes it, or None where the data is not there.
    """
    try:
        with MMENGINE_DATASETS.switch_scope_and_registry(cfg.get('default_scope')):
            dataset = build_dataset(cfg.train_dataloader.dataset, 'train_dataloader.dataset')
    except FileNotFoundError:
        return None
    seed = cfg.get('schedule', {}).get('fraction_seed', 0)
    return lambda fraction: len(fraction_indices(dataset, fraction, seed))


def build_model(cfg: Config) -> Any:
    """Builds the model of a config with random weights.

    Args:
        cfg: A config of a distiller, or a plain one of mmsegmentation or mmpretrain.

    Returns:
        The model. A distiller's checkpoints are not read.
    """
    model = cfg.model.copy()
    for role in ('teacher', 'student'):
        if isinstance(model.get(role), Mapping):
            model[role] = dict(model[role], checkpoint=None)
    if 'data_preprocessor' in cfg:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # that the teacher's weights are random is what is asked for
    try:
        with MMENGINE_MODELS.switch_scope_and_registry(cfg.get('default_scope')):
            return MMENGINE_MODELS.build(model)
    finally:
        logger.setLevel(level)


def _first_image_size(cfg: Config) -> tuple[int, int] | None:
    """Height and width of the first training image after its transforms; None if the data does not exist."""
    if 'train_dataloader' not in cfg:
        return None
    try:
        with MMENGINE_DATASETS.switch_scope_and_registry(cfg.get('default_scope')):
            dataset = build_dataset(cfg.train_dataloader.dataset, 'train_dataloader.dataset')
        height, width = dataset[0]['inputs'].shape[-2:]
    except (OSError, ValueError, KeyError):
        return None
    return int(height), int(width)


def config_shape(cfg: Config, model: nn.Module) -> tuple[int, int, int]:
    """Return the shape of a training image, as a config's pipeline and the model's preprocessor make it.

    If they set no size, it is the distiller's ``input_shape``, or else that of the first training image.

    Args:
        cfg: The config.
        model: Its model, for the number of channels and the padding.

    Returns:
        ``(C, H, W)``.

    Raises:
        ValueError: Nothing of that sets a size.
    """
    dataset = cfg.get('train_dataloader', {}).get('dataset', {})
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset['dataset']
    size = None
    for step in dataset.get('pipeline', cfg.get('train_pipeline', [])):
        if step.get('crop_size') is not None:
            size = _pair(step['crop_size'])
        elif step.get('scale') is not None:
            pair = _pair(step['scale'])
            size = pair if 'Crop' in str(step['type']) else pair[::-1]  # a crop's is (H, W), a resize's (W, H)
    preprocessor: Any = model.data_preprocessor
    fixed = getattr(preprocessor, 'size', None)
    if fixed is not None:
        size = _pair(fixed)
    if size is None:
        probed = cfg.get('model', {}).get('input_shape')
        if probed is not None:
            channels, height, width = probed
            return channels, height, width
        size = _first_image_size(cfg)
    if size is None:
        raise ValueError('the size of the training images is unknown, as no step of the training pipeline sets one and '
                         'there is no training image to read; set `model.input_shape = (C, H, W)` of the distiller, or '
                         'give get_flops.py --shape')
    divisor = getattr(preprocessor, 'size_divisor', getattr(preprocessor, 'pad_size_divisor', None)) or 1
    height, width = (-(-side // divisor) * divisor for side in size)
    return input_channels(model), height, width


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


def _epoch(images: int, batch_size: int) -> int:
    if images < batch_size:
        raise ValueError(f'{images} training images are fewer than one batch of {batch_size}')
    return images // batch_size


def _device(model: nn.Module) -> torch.device:
    """Return where a model is; a teacher may have buffers alone, or nothing at all."""
    return next(chain(model.parameters(), model.buffers()), torch.empty(0)).device


def _step(distiller: Distiller, inputs: Tensor, samples: list[Any]) -> int:
    """Floating point operations of a training step, for one image."""
    with FlopCounterMode(display=False) as counter:
        loss, _ = distiller.parse_losses(distiller.loss(inputs, samples))
        loss.backward()
    return counter.get_total_flops() // len(inputs)


def made_up_samples(student: nn.Module, shape: Sequence[int], device: torch.device, count: int) -> list[Any]:
    """Data samples of the kind that the student's losses take: maps of class 0, or images of classes 0 and 1.

    Args:
        student: A model of mmsegmentation or mmpretrain.
        shape: ``(C, H, W)`` of the images.
        device: Where labels are to be.
        count: How many.

    Returns:
        The samples, with indices as in training.
    """
    from mmseg.models.segmentors import BaseSegmentor
    size = tuple(shape[1:])
    samples: list[Any]
    if isinstance(student, BaseSegmentor):
        from mmseg.structures import SegDataSample
        labels = torch.zeros(1, *size, dtype=torch.long, device=device)
        samples = [SegDataSample(gt_sem_seg=PixelData(data=labels)) for _ in range(count)]
    else:
        from mmpretrain.structures import DataSample
        samples = [DataSample().set_gt_label(torch.tensor([i % 2], device=device)) for i in range(count)]
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(sample_idx=i, **{INDEX: i}, img_shape=size, pad_shape=size, ori_shape=size))
    return samples


@contextmanager
def _unchanged(*models: nn.Module | None) -> Iterator[None]:
    """Puts parameters, buffers, gradients, modes and the random state back."""
    modules = [module for model in models if model is not None for module in model.modules()]
    tensors = {tensor: tensor.detach().clone() for module in modules
               for tensor in [*module.parameters(recurse=False), *module.buffers(recurse=False)]}
    gradients = {tensor: tensor.grad for tensor in tensors}
    training = {module: module.training for module in modules}
    for tensor in tensors:
        tensor.grad = None
    try:
        with torch.random.fork_rng():
            yield
    finally:
        for tensor, value in tensors.items():
            tensor.data.copy_(value)
            tensor.grad = gradients[tensor]
        for module, mode in training.items():
            module.training = mode
