"""What a run would do, as text."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from mmengine.config import Config

from skd_mm.distillers import Distiller
from skd_mm.distillers.probing import spot_shapes
from skd_mm.distillers.spot import Spot, module_names
from skd_mm.schedules import Phase

from .config_model import build_model, config_images, config_phases, config_shape
from .flops import PhaseCost, schedule_cost, training_flops

GIGA, TERA = 1e9, 1e12
# For each spot, the shapes of the student's and of the teacher's features.
Shapes = Mapping[str, tuple[Sequence, Sequence]]


def plan(cfg: Config) -> str:
    """Describe the phases of a config: what they train, on which losses, for how long and at what cost.

    The networks are built with random weights. Neither checkpoints nor data need to exist; without data, the numbers of
    images are left out.

    Args:
        cfg: A config of a distillation with a ``schedule``.

    Returns:
        A few lines per phase.

    Raises:
        ValueError: The config has no schedule, or names something that does not exist.
    """
    if 'schedule' not in cfg:
        raise ValueError('there is nothing to plan: the config has no `schedule`')
    distiller = build_model(cfg)
    if not isinstance(distiller, Distiller):
        raise ValueError(f'a `schedule` needs a skd_mm.Distiller as `model`, not a {type(distiller).__name__}')
    phases = config_phases(cfg, distiller)
    shape = config_shape(cfg, distiller)
    costs = schedule_cost(distiller, phases, shape)
    images = config_images(cfg)
    shapes = spot_shapes(distiller.spots.values(), distiller.student_network, distiller.teacher_network, shape)
    lines = [f'{len(phases)} phases, images of {_shape(shape)}']
    for number, (phase, cost) in enumerate(zip(phases, costs, strict=True), 1):
        lines += ['', f'{number}/{len(phases)} {phase.name}: {_length(phase)}{_images(phase, images)}',
                  f'    trains   {cost.trainable:,} parameters in {", ".join(phase.train) or "its spots"}']
        lines += [f'    spot     {line}' for line in _active(distiller, phase, shapes)]
        if phase.task:
            lines.append(f'    task     the losses of the student{_times(phase.task)}')
        if number > 1:
            lines.append(f'    starts   from the {phase.handover} weights of {phases[number - 2].name}')
        lines.append(f'    costs    {cost.truncated / GIGA:.3g} GFLOPs per image; {cost.cached / GIGA:.3g} if all '
                     'features that do not change are cached')
    return '\n'.join([*lines, '', _total(cfg, phases, costs, images)])


def _total(cfg: Config, phases: Sequence[Phase], costs: Sequence[PhaseCost],
           images: Callable[[float], int] | None) -> str:
    if images is None:
        return 'The data does not exist, so the number of images is unknown'
    batch = cfg.train_dataloader.batch_size
    total = training_flops(costs, phases, images, batch)
    return (f'In all {total.iterations:,} iterations of {batch} images, {total.truncated / TERA:.3g} TFLOPs, '
            f'with the cache {total.cached / TERA:.3g}; validation is not included')


def _images(phase: Phase, images: Callable[[float], int] | None) -> str:
    if images is None:
        return ''
    parts = [f'{images(phase.fraction)} of {images(1.0)} images'] if phase.data != 'unlabelled' else []
    unlabelled = getattr(images, 'unlabelled', None)
    if phase.data != 'labelled' and unlabelled is not None:
        parts.append(f'{unlabelled(phase.unlabelled_fraction)} of {unlabelled(1.0)} unlabelled images')
    return ', ' + ' and '.join(parts)


def _shape(shape: Sequence[int]) -> str:
    return '×'.join(map(str, shape))


def _times(weight: float) -> str:
    return '' if weight == 1 else f', times {weight:g}'


def _length(phase: Phase) -> str:
    return f'{phase.epochs} epochs' if phase.epochs is not None else f'{phase.iters} iterations'


def _active(distiller: Distiller, phase: Phase, shapes: Shapes) -> Iterator[str]:
    """Yield a line for each active spot."""
    distiller.activate(**phase.activation)
    for spot, weight in distiller.active.spots:
        loss = f'{type(spot.loss).__name__}{_times(weight)}'
        sides = _sides(spot, shapes) if isinstance(spot, Spot) else ''
        forced = "; the student continues with the teacher's feature" if spot in distiller.active.forced else ''
        yield f'{spot.name}: {sides}{loss}{forced}'


def _sides(spot: Spot, shapes: Shapes) -> str:
    """Describe what a spot compares: modules with their shapes, and connectors."""
    sides = []
    for side, found, connectors in zip(('student', 'teacher'), shapes[str(spot.name)],
                                       (spot.connector, spot.teacher_connector), strict=True):
        modules = zip(module_names(getattr(spot, side)), found, strict=True)
        inputs = ' + '.join(f'{module} {_shape(shape)}' for module, shape in modules)
        sides.append(' → '.join([f'{side} {inputs}', *(type(part).__name__ for part in connectors)]))
    return f'{", ".join(sides)}: '
