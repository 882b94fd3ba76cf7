"""Counts what a config costs: parameters and MACs of its networks, and the training of a schedule, phase by phase."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

# torch and skd_mm are imported where they are needed, so that --help is quick.
from mmengine.config import Config

GIGA, TERA = 1e9, 1e12


def parse_args() -> argparse.Namespace:
    """The options that mmsegmentation's ``get_flops.py`` has, and those for schedules."""
    parser = argparse.ArgumentParser(description='Count the parameters and operations of a config')
    parser.add_argument('config', help='path of the config: of a distillation, or a plain one')
    parser.add_argument('--shape', type=int, nargs='+', metavar='SIZE',
                        help='height and width of the image (or one number for both); that of the training pipeline if '
                        'not given')
    parser.add_argument('--json', metavar='FILE', help='write the numbers to a file, too')
    parser.add_argument('--images', type=int, metavar='N',
                        help='size of the whole training set; that of the data set, if it is there')
    parser.add_argument('--match', metavar='CONFIG',
                        help='another distillation: print with how many epochs a phase it costs as much as this one')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE',
                        help='settings that replace those of the config, like schedule.fraction=0.1')
    args = parser.parse_args()
    if args.shape is not None and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error(f'--shape takes a height and a width, not {args.shape}')
    if args.images is not None and args.images < 1:
        parser.error(f'--images must be 1 or more, not {args.images}')
    return args


def main() -> None:
    """Counts and prints."""
    args = parse_args()
    from skd_mm.utils import write_json

    try:
        numbers = count(args)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise SystemExit(f'get_flops: {error.args[-1] if isinstance(error, KeyError) else error}') from error
    print(report(numbers))
    if args.json:
        write_json(args.json, numbers)


def count(args: argparse.Namespace) -> dict[str, Any]:
    """All numbers, as they go into the JSON file."""
    from skd_mm.analysis import flops
    from skd_mm.config import load_config
    from skd_mm.distillers import Distiller

    cfg = load_config(args.config, args.cfg_options)
    size = args.shape and [args.shape[0], args.shape[-1]]
    model, shape = build(cfg, size)
    numbers: dict[str, Any] = dict(config=args.config, shape=list(shape), networks={})
    if not isinstance(model, Distiller):
        if args.match:
            raise ValueError(f'--match needs a schedule to match, and {args.config} has none')
        numbers['networks']['model'] = asdict(flops.network_cost(model, shape))
        return numbers
    for role in ('teacher', 'student'):
        if getattr(model, role) is not None:
            numbers['networks'][role] = asdict(flops.network_cost(getattr(model, role), shape))
    if 'schedule' not in cfg:
        return numbers
    phases = flops.config_phases(cfg, model)
    costs = flops.schedule_cost(model, phases, shape)
    numbers['phases'] = [
        dict(asdict(cost), epochs=phase.epochs, iters=phase.iters, fraction=phase.fraction)
        for cost, phase in zip(costs, phases, strict=True)]
    images = args.images or flops.config_images(cfg)
    if images is None:
        if args.match:
            raise ValueError('--match needs the number of training images, and the data is not there: give --images')
        return numbers
    batch = batch_size(cfg)
    total = flops.training_flops(costs, phases, images, batch)
    numbers['schedule'] = dict(asdict(total), images=whole(images), batch_size=batch)
    if args.match:
        numbers['match'] = match(args.match, total.truncated, images, size)
    return numbers


def match(path: str, total: int, images: int | Callable[[float], int], size: list[int] | None) -> dict[str, Any]:
    """How long each phase of another schedule may be."""
    from skd_mm.analysis import flops
    from skd_mm.distillers import Distiller
    from skd_mm.distillers.networks import read_config

    cfg = read_config(path)
    model, shape = build(cfg, size)
    phases = flops.config_phases(cfg, model) if isinstance(model, Distiller) and 'schedule' in cfg else []
    fractions = {phase.fraction for phase in phases}
    if len(fractions) != 1:
        raise ValueError('--match takes a distillation whose phases see the same images; '
                         + (f'those of {path} see the fractions {sorted(fractions)}' if phases
                            else f'{path} has no schedule'))
    cost = sum(phase.truncated for phase in flops.schedule_cost(model, phases, shape))
    seen = flops.images_of(phases[0], images)
    return dict(config=path, images=seen, phases=len(phases), per_image=cost,
                epochs=flops.equal_epochs(total, cost, seen, batch_size(cfg)))


def build(cfg: Config, size: list[int] | None) -> tuple[Any, tuple[int, ...]]:
    """The model and the shape of its images."""
    from skd_mm.analysis import flops
    from skd_mm.distillers import Distiller

    if 'model' not in cfg:
        raise ValueError('the config has no `model`')
    model = flops.build_model(cfg)
    network = model.student if isinstance(model, Distiller) else model
    return model, ((flops.input_channels(network), *size) if size else flops.config_shape(cfg, model))


def batch_size(cfg: Config) -> int:
    """Images an iteration on all devices that the config is meant for."""
    return cfg.get('auto_scale_lr', {}).get('base_batch_size') or cfg.train_dataloader.batch_size


def whole(images: int | Callable[[float], int]) -> int:
    """The size of the whole training set."""
    return images(1.0) if callable(images) else images


def report(numbers: dict[str, Any]) -> str:
    """The numbers for the terminal."""
    channels, height, width = numbers['shape']
    lines = [f'{numbers["config"]}, {channels}x{height}x{width}', '',
             f'{"":24}{"parameters":>14}{"GMACs":>12}']
    lines += [f'{role:24}{cost["parameters"]:14,}{cost["macs"] / GIGA:12.3f}'
              for role, cost in numbers['networks'].items()]
    if 'phases' in numbers:
        first = max(len(cost['name']) for cost in numbers['phases']) + 2
        lines += ['', f'{"":{first + 14}}{"training GFLOPs an image":>38}',
                  f'{"phase":{first}}{"trainable":>14}{"truncated":>14}{"cached":>12}{"to fill":>12}']
        lines += [f'{cost["name"]:{first}}{cost["trainable"]:14,}{cost["truncated"] / GIGA:14.3f}'
                  f'{cost["cached"] / GIGA:12.3f}{cost["fill"] / GIGA:12.3f}' for cost in numbers['phases']]
    if 'schedule' in numbers:
        total = numbers['schedule']
        lines += ['', f'schedule: {total["images"]:,} images in all, batches of {total["batch_size"]}: '
                  f'{total["iterations"]:,} iterations, {total["truncated"] / TERA:,.3f} TFLOPs; with a feature cache '
                  f'{total["cached"] / TERA:,.3f} TFLOPs, filling it included']
    elif 'phases' in numbers:
        lines += ['', 'schedule: the data is not there; --images N gives the total']
    if 'match' in numbers:
        other = numbers['match']
        each = 'each of its phases' if other['phases'] > 1 else 'its phase'
        lines += ['', f'{other["config"]}: {other["per_image"] / GIGA:.3f} GFLOPs an image; {other["epochs"]:,} epochs '
                  f'of {other["images"]:,} images in {each} cost as much as the schedule without a cache']
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
