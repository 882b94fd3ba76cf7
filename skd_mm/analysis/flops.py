"""What a network and a schedule cost: parameters, MACs, and floating-point operations of training.

PyTorch's own counter counts the operations of the real step: convolutions and matrix products, two operations per
multiply-accumulate, forward and backward. Validation is not included. A fair baseline may spend as much as the whole
schedule (SKD, arXiv 1911.06786, gives its baselines the length of a single phase).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from skd_mm.datasets.fraction import check_fraction
from skd_mm.deploy.quantisation import quantized_layers
from skd_mm.distillers import Distiller
from skd_mm.features import FeatureCache, call_model
from skd_mm.features.temporary_modes import preserve_modes
from skd_mm.schedules import Phase
from skd_mm.tasks import example_samples

from .config_model import build_model, config_phases, config_shape

FLOAT_BITS = 32
BATCH = 2  # BN needs two samples in training if a feature is one pixel large


@dataclass(frozen=True)
class NetworkCost:
    """The cost of a network.

    Attributes:
        parameters: The number of its parameters.
        macs: Multiply-accumulates of a forward pass of one image.
        bytes: The size of its state dict, with the weights of quantised layers in their bits.
        bit_operations: Of a forward pass of one image: the multiply-accumulates of each layer, times the bits of its
            weights, times the bits of its input (BOPs as in Bayesian Bits, arXiv 2005.07093). Layers in float count
            with 32 bits each. Where ``macs`` are equal, this compares networks of different precision.
    """

    parameters: int
    macs: int
    bytes: int = 0
    bit_operations: int = 0


@dataclass(frozen=True)
class PhaseCost:
    """The cost of an image in a phase of training, in floating-point operations.

    Attributes:
        name: Name of the phase.
        trainable: The number of trainable parameters.
        truncated: Forward passes of teacher and student as far as they are needed, and the backward pass: the cost per
            image and epoch without a cache.
        cached: The same if every feature that does not change within the phase is read from the cache. Equal to
            ``truncated`` if nothing can be cached.
        fill: The cost of computing the cached features, once per image and phase.
    """

    name: str
    trainable: int
    truncated: int
    cached: int
    fill: int


@dataclass(frozen=True)
class TrainingCost:
    """The cost of a schedule, in floating-point operations.

    Attributes:
        truncated: The cost without a cache.
        cached: The cost with one, including that of filling it.
        iterations: The number of iterations of all phases.
    """

    truncated: int
    cached: int
    iterations: int


def network_cost(model: nn.Module, shape: Sequence[int]) -> NetworkCost:
    """Count the parameters and operations of a network.

    Args:
        model: A model of mmsegmentation or mmpretrain. It is not changed.
        shape: ``(C, H, W)`` of the image.

    Returns:
        Its parameters and their size, and the MACs and bit operations of its forward pass in mode ``'tensor'``.
    """
    device = _device(model)
    with _unchanged(model), torch.no_grad(), _quantized_macs(model) as quantized, \
            FlopCounterMode(display=False) as counter:
        model.eval()
        call_model(model, torch.zeros(1, *shape, device=device))
    macs = counter.get_total_flops() // 2
    bit_operations = (macs - sum(quantized.values())) * FLOAT_BITS**2
    bits = 8 * sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    for layer, count in quantized.items():
        bit_operations += count * layer.weight_quantizer.bits * layer.input_quantizer.bits
    for layer in quantized_layers(model).values():
        bits -= layer.weight.numel() * (8 * layer.weight.element_size() - layer.weight_quantizer.bits)
    return NetworkCost(sum(p.numel() for p in model.parameters()), macs, -(-bits // 8), bit_operations)


@contextmanager
def _quantized_macs(model: nn.Module) -> Iterator[dict[Any, int]]:
    """Count the MACs of each quantised layer that is run meanwhile."""
    counts: dict[Any, int] = {}

    def count(layer: Any, inputs: Any, output: Tensor) -> None:
        counts[layer] = counts.get(layer, 0) + output.numel() * layer.weight[0].numel()

    handles = [layer.register_forward_hook(count) for layer in quantized_layers(model).values()]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def schedule_cost(distiller: Distiller, phases: Sequence[Phase], shape: Sequence[int]) -> list[PhaseCost]:
    """Run a training step of every phase on an example batch, and count its operations.

    Args:
        distiller: The distiller. Its parameters, buffers and gradients are restored, but not what is active: call
            :meth:`~skd_mm.distillers.Distiller.activate` before it is used again.
        phases: The phases, with names of its stages and spots.
        shape: ``(C, H, W)`` of the images.

    Returns:
        The cost of each phase.
    """
    device = _device(distiller)
    inputs = torch.zeros(BATCH, *shape, device=device)
    samples = example_samples(distiller.student, shape, device, BATCH)
    costs = []
    with _unchanged(distiller, distiller.teacher):
        for phase in phases:
            distiller.activate(**phase.activation)
            distiller.train()
            trainable = sum(parameter.numel() for parameter in distiller.trainable().values())
            truncated = cached = _step(distiller, inputs, samples)
            if distiller.active.cacheable:
                distiller.activate(**phase.activation, cache=FeatureCache(2**62))
                distiller.loss(inputs, samples)  # fills the cache
                cached = _step(distiller, inputs, samples)
            costs.append(PhaseCost(phase.name, trainable, truncated, cached, truncated - cached))
            distiller.pair.cache = None
    return costs


def training_flops(costs: Sequence[PhaseCost], phases: Sequence[Phase], images: int | Callable[[float], int],
                   batch_size: int) -> TrainingCost:
    """Add up the cost of a schedule.

    Args:
        costs: The output of :func:`schedule_cost`.
        phases: Their phases.
        images: The number of images of the training set, of which a phase sees ``floor(images * fraction)``; or a
            function that gives the number for a fraction, if each class is cut by itself. An attribute ``unlabelled``
            is the same for the unlabelled images.
        batch_size: Images per iteration, on all devices together.

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
    """Return how many images a phase sees.

    Args:
        phase: The phase.
        images: As for :func:`training_flops`.

    Returns:
        The number of images in an epoch: with ``data='both'``, the unlabelled images and as many labelled ones,
        repeated if necessary, as their share of the batches needs.
    """
    count = images if callable(images) else lambda fraction: int(images * check_fraction(fraction))
    if phase.data in (None, 'labelled'):
        return count(phase.fraction)
    unlabelled = getattr(images, 'unlabelled', None) or count
    seen = unlabelled(phase.unlabelled_fraction)
    return int(seen / (1 - phase.labelled_share) + 1e-9) if phase.data == 'both' else seen


def equal_epochs(total: int, per_image: int, images: int, batch_size: int) -> int:
    """Return the number of epochs per phase that gives a baseline the same training cost.

    Args:
        total: Floating-point operations that may be spent.
        per_image: What all phases of the baseline spend together per image and epoch.
        images: Images that the baseline trains on.
        batch_size: Images per iteration.

    Returns:
        The nearest number of epochs of ``floor(images / batch_size)`` iterations, at least 1.

    Raises:
        ValueError: There are fewer images than a batch.
    """
    return max(1, round(total / (per_image * batch_size * _epoch(images, batch_size))))


def config_cost(cfg: Config, shape: Sequence[int] | None = None) -> tuple[Distiller, list[Phase], list[PhaseCost]]:
    """Count the cost of a config's schedule, with random weights.

    Args:
        cfg: A config with a distiller and a ``schedule``. Its checkpoints are not read.
        shape: ``(C, H, W)`` of the images; by default as the training pipeline makes them, see
            :func:`~skd_mm.analysis.config_model.config_shape`.

    Returns:
        The distiller, the phases and the cost of each.

    Raises:
        ValueError: The config has no schedule, or sets no size of the images.
    """
    distiller = build_model(cfg)
    phases = config_phases(cfg, distiller)
    return distiller, phases, schedule_cost(distiller, phases, shape or config_shape(cfg, distiller))


def _epoch(images: int, batch_size: int) -> int:
    if images < batch_size:
        raise ValueError(f'{images} training images are fewer than one batch of {batch_size}')
    return images // batch_size


def _device(model: nn.Module) -> torch.device:
    """Return where a model is; a teacher may have buffers alone, or nothing at all."""
    return next(chain(model.parameters(), model.buffers()), torch.empty(0)).device


def _step(distiller: Distiller, inputs: Tensor, samples: list[Any]) -> int:
    """Return the floating-point operations of a training step per image."""
    with FlopCounterMode(display=False) as counter:
        loss, _ = distiller.parse_losses(distiller.loss(inputs, samples))
        loss.backward()
    return counter.get_total_flops() // len(inputs)


@contextmanager
def _unchanged(*models: nn.Module | None) -> Iterator[None]:
    """Restore parameters, buffers, gradients, modes and the random state."""
    known = [model for model in models if model is not None]
    tensors = {tensor: tensor.detach().clone() for model in known
               for tensor in [*model.parameters(), *model.buffers()]}
    gradients = {tensor: tensor.grad for tensor in tensors}
    for tensor in tensors:
        tensor.grad = None
    try:
        with torch.random.fork_rng(), preserve_modes(*known):
            yield
    finally:
        for tensor, value in tensors.items():
            tensor.data.copy_(value)
            tensor.grad = gradients[tensor]
        for model in known:
            # Some modules keep values that follow from their buffers, and renew them after a load.
            model.load_state_dict(model.state_dict())
