"""What a run would do, in words and numbers."""

from collections.abc import Mapping, Sequence

from mmengine.config import Config

from skd_mm.distillers import Distiller
from skd_mm.distillers.probing import spot_shapes
from skd_mm.distillers.spot import Spot, module_names
from skd_mm.schedules import Phase

from . import flops

GIGA, TERA = 1e9, 1e12


def plan(cfg: Config) -> str:
    """The phases of a config: what learns in them, from what, for how long and at what cost.

    Networks are built with random weights: neither checkpoints nor data need to be there; without data, the numbers of
    images are left out.

    Args:
        cfg: A config of a distillation with a ``schedule``.

    Returns:
        A few lines a phase.

    Raises:
        ValueError: The config has no schedule, or names what does not exist.
    """
    if 'schedule' not in cfg:
        raise ValueError('there is nothing to plan: the config has no `schedule`')
    distiller = flops.build_model(cfg)
    if not isinstance(distiller, Distiller):
        raise ValueError(f'a `schedule` needs a skd_mm.Distiller as `model`, not a {type(distiller).__name__}')
    phases = flops.config_phases(cfg, distiller)
    shape = flops.config_shape(cfg, distiller)
    costs = flops.schedule_cost(distiller, phases, shape)
    images = flops.config_images(cfg)
    spots = spot_shapes(distiller.spots.values(), distiller.student_network, distiller.teacher_network, shape)
    lines = [f'{len(phases)} phases, images of {_shape(shape)}']
    for number, (phase, cost) in enumerate(zip(phases, costs, strict=True), 1):
        seen = '' if images is None else f', {flops.images_of(phase, images)} of {images(1.0)} images'
        lines += ['', f'{number}/{len(phases)} {phase.name}: {_length(phase)}{seen}',
                  f'    trains   {cost.trainable:,} parameters in {", ".join(phase.train) or "its spots"}']
        lines += [f'    spot     {line}' for line in _active(distiller, phase, spots)]
        if phase.task:
            lines += [f'    task     the losses of the student{_times(phase.task)}']
        if number > 1:
            lines += [f'    starts   from the {phase.handover} weights of {phases[number - 2].name}']
        lines += [f'    costs    {cost.truncated / GIGA:.3g} GFLOPs an image; {cost.cached / GIGA:.3g} with all in the '
                  'cache that does not change']
    if images is not None:
        batch = cfg.train_dataloader.batch_size
        total = flops.training_flops(costs, phases, images, batch)
        lines += ['', f'In all {total.iterations:,} iterations of {batch} images, {total.truncated / TERA:.3g} TFLOPs, '
                  f'with the cache {total.cached / TERA:.3g}; validation is not counted']
    else:
        lines += ['', 'The data is not there: how many images there are is not known']
    return '\n'.join(lines)


def _shape(shape: Sequence[int]) -> str:
    return '×'.join(map(str, shape))


def _times(weight: float) -> str:
    return '' if weight == 1 else f', times {weight:g}'


def _length(phase: Phase) -> str:
    return f'{phase.epochs} epochs' if phase.epochs is not None else f'{phase.iters} iterations'


def _active(distiller: Distiller, phase: Phase, shapes: Mapping[str, tuple[Sequence, Sequence]]) -> list[str]:
    distiller.activate(phase.train, phase.spots, phase.task, phase.frozen_bn)
    lines = []
    for spot, weight in distiller.active.spots:
        what = f'{type(spot.loss).__name__}{_times(weight)}'
        if isinstance(spot, Spot):
            sides = []
            for side, found, connectors in zip(('student', 'teacher'), shapes[str(spot.name)],
                                               (spot.connector, spot.teacher_connector), strict=True):
                modules = zip(module_names(getattr(spot, side)), found, strict=True)
                steps = [' + '.join(f'{module} {_shape(shape)}' for module, shape in modules),
                         *(type(part).__name__ for part in connectors)]
                sides.append(f'{side} {" → ".join(steps)}')
            what = f'{", ".join(sides)}: {what}'
        lines.append(f'{spot.name}: {what}')
    return lines
