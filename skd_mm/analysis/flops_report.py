"""The numbers of ``get_flops.py``: the cost of a config as a dict and as text."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from mmengine.config import Config

from skd_mm.distillers import Distiller
from skd_mm.distillers.probing import input_channels
from skd_mm.utils import text_table

from . import flops
from .config_model import build_model, config_images, config_phases, config_shape

MEGA, GIGA, TERA = 1e6, 1e9, 1e12


def count_config(cfg: Config, size: Sequence[int] | None = None, images: int | None = None,
                 match: tuple[str, Config] | None = None) -> dict[str, Any]:
    """Count what a config costs.

    Args:
        cfg: A config of a distillation, or a plain one.
        size: Height and width of the images; those of the training pipeline by default.
        images: Size of the whole training set; that of the data set by default, if it exists.
        match: Path and config of another distillation, for which the number of epochs per phase with the same cost is
            wanted.

    Returns:
        ``shape`` and ``networks``; of a schedule ``phases``, and ``schedule`` if the number of images is known; and
        ``match``.

    Raises:
        ValueError: Something that is needed cannot be known from the configs; the message says what.
    """
    model, shape = _model_and_shape(cfg, size)
    numbers: dict[str, Any] = dict(shape=list(shape), networks={})
    if not isinstance(model, Distiller):
        if match is not None:
            raise ValueError('--match needs a schedule to match, and the config has none')
        numbers['networks']['model'] = asdict(flops.network_cost(model, shape))
        return numbers
    for role in ('teacher', 'student'):
        if getattr(model, role) is not None:
            numbers['networks'][role] = asdict(flops.network_cost(getattr(model, role), shape))
    if 'schedule' not in cfg:
        return numbers
    phases = config_phases(cfg, model)
    costs = flops.schedule_cost(model, phases, shape)
    numbers['phases'] = [
        dict(asdict(cost), epochs=phase.epochs, iters=phase.iters, fraction=phase.fraction)
        for cost, phase in zip(costs, phases, strict=True)]
    known_images = images or config_images(cfg)
    if known_images is None:
        if match is not None:
            raise ValueError('--match needs the number of training images, and the data does not exist: give --images')
        return numbers
    batch = _batch_size(cfg)
    total = flops.training_flops(costs, phases, known_images, batch)
    whole = known_images(1.0) if callable(known_images) else known_images
    numbers['schedule'] = dict(asdict(total), images=whole, batch_size=batch)
    if match is not None:
        numbers['match'] = _match(*match, total.truncated, known_images, size)
    return numbers


def _match(path: str, cfg: Config, total: int, images: int | Callable[[float], int],
           size: Sequence[int] | None) -> dict[str, Any]:
    """Return how long each phase of another schedule may be."""
    model, shape = _model_and_shape(cfg, size)
    if not isinstance(model, Distiller) or 'schedule' not in cfg:
        raise ValueError(f'--match takes a distillation, and {path} has no schedule')
    phases = config_phases(cfg, model)
    if len({phase.samples for phase in phases}) > 1:
        fractions = sorted({phase.fraction for phase in phases})
        raise ValueError('--match takes a distillation whose phases see the same images; those of '
                         f'{path} see the fractions {fractions}, or labelled and unlabelled images')
    cost = sum(phase.truncated for phase in flops.schedule_cost(model, phases, shape))
    seen = flops.images_of(phases[0], images)
    return dict(config=path, images=seen, phases=len(phases), per_image=cost,
                epochs=flops.equal_epochs(total, cost, seen, _batch_size(cfg)))


def _model_and_shape(cfg: Config, size: Sequence[int] | None) -> tuple[Any, tuple[int, ...]]:
    model = build_model(cfg)
    if size is None:
        return model, config_shape(cfg, model)
    network = model.student if isinstance(model, Distiller) else model
    return model, (input_channels(network), *size)


def _batch_size(cfg: Config) -> int:
    """Return the images per iteration on all devices that the config is meant for."""
    return cfg.get('auto_scale_lr', {}).get('base_batch_size') or cfg.train_dataloader.batch_size


def format_report(numbers: dict[str, Any]) -> str:
    """Return the numbers of a config as text.

    Args:
        numbers: The output of :func:`count_config`, with the path of the ``config``.

    Returns:
        Tables and sentences.
    """
    lines = [f'{numbers["config"]}, {"x".join(map(str, numbers["shape"]))}', '']
    networks = [[role, f'{cost["parameters"]:,}', f'{cost["bytes"] / MEGA:.3f}', f'{cost["macs"] / GIGA:.3f}',
                 f'{cost["bit_operations"] / GIGA:,.1f}'] for role, cost in numbers['networks'].items()]
    lines.append(text_table(['network', 'parameters', 'MB', 'GMACs', 'GBOPs'], networks))
    if 'phases' in numbers:
        costs = ('truncated', 'cached', 'fill')
        phases = [[phase['name'], f'{phase["trainable"]:,}', *(f'{phase[key] / GIGA:.3f}' for key in costs)]
                  for phase in numbers['phases']]
        lines += ['', 'training, GFLOPs per image',
                  text_table(['phase', 'trainable', 'truncated', 'cached', 'fill the cache'], phases)]
    if 'schedule' in numbers:
        total = numbers['schedule']
        lines += ['', f'schedule: {total["images"]:,} images, batches of {total["batch_size"]}: '
                  f'{total["iterations"]:,} iterations, {total["truncated"] / TERA:,.3f} TFLOPs; with a feature cache '
                  f'{total["cached"] / TERA:,.3f} TFLOPs, including the cost of filling it']
    elif 'phases' in numbers:
        lines += ['', 'schedule: the data does not exist; --images N gives the total']
    if 'match' in numbers:
        other = numbers['match']
        each = 'each of its phases' if other['phases'] > 1 else 'its phase'
        lines += ['', f'{other["config"]}: {other["per_image"] / GIGA:.3f} GFLOPs per image; {other["epochs"]:,} '
                  f'epochs of {other["images"]:,} images in {each} cost as much as the schedule without a cache']
    return '\n'.join(lines)
