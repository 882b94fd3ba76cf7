"""Training compute of the runs of a study, and lengths that make it equal."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from skd_mm.analysis import flops
from skd_mm.analysis.config_model import build_model, config_images, config_phases, config_shape
from skd_mm.schedules import Phase

from .configs import set_length
from .study import StudyError


@dataclass(frozen=True)
class Compute:
    """What a run costs.

    Attributes:
        phases: How many phases it has.
        length: Epochs of each phase, or iterations; None if they differ.
        unit: ``'epochs'`` or ``'iters'``.
        images: How many training images its first phase sees.
        iterations: Of all phases together.
        flops: Floating point operations of the training without a feature cache.
        flops_cached: The same with a cache that keeps everything that can be kept.
    """

    phases: int
    length: int | None
    unit: str
    images: int
    iterations: int
    flops: int
    flops_cached: int


@dataclass
class Counted:
    """A config whose phases have been counted; the costs per image hold for all fractions and lengths.

    Attributes:
        model: Its distiller.
        shape: ``(C, H, W)`` of the training images.
        costs: Costs per image of each phase.
        images: Number of images for a fraction.
    """

    model: Any
    shape: tuple[int, int, int]
    costs: list[flops.PhaseCost]
    images: Callable[[float], int]

    def phases(self, cfg: Config) -> list[Phase]:
        """Return the phases of a config; only lengths and images differ."""
        return config_phases(cfg, self.model)

    def compute(self, cfg: Config) -> Compute:
        """What a run of such a config costs.

        Args:
            cfg: The config.

        Returns:
            Its compute.

        Raises:
            StudyError: It has fewer images than a batch.
        """
        phases = self.phases(cfg)
        try:
            total = flops.training_flops(self.costs, phases, self.images, cfg.train_dataloader.batch_size)
        except ValueError as error:
            raise StudyError(str(error)) from error
        lengths = {(phase.unit, getattr(phase, phase.unit)) for phase in phases}
        unit, length = next(iter(lengths))
        return Compute(len(phases), length if len(lengths) == 1 else None, unit,
                       flops.images_of(phases[0], self.images), total.iterations, total.truncated, total.cached)


def count(cfg: Config) -> Counted:
    """Count the operations of each phase of a config.

    Args:
        cfg: A config with a ``schedule``, see :func:`as_schedule`; its training data must exist.

    Returns:
        The counted config.

    Raises:
        StudyError: The training data does not exist.
    """
    model = build_model(cfg)
    shape = config_shape(cfg, model)
    costs = flops.schedule_cost(model, config_phases(cfg, model), shape)
    images = config_images(cfg)
    if images is None:
        raise StudyError('train_dataloader.dataset: the training data does not exist')
    return Counted(model, shape, costs, images)


def match(cfg: Config, counted: Counted, total: int) -> None:
    """Set the length of a config's phases so that it costs as much as another.

    Args:
        cfg: The config; its length and the milestones of its learning rate schedules are changed.
        counted: Its counted phases.
        total: Floating point operations that it may spend.

    Raises:
        StudyError: Its phases have lengths or fractions of their own, so that one length cannot set the compute.
    """
    phases = counted.phases(cfg)
    units, samples = ({getattr(phase, key) for phase in phases} for key in ('unit', 'samples'))
    if len(units) > 1 or len(samples) > 1:
        raise StudyError('equal compute needs phases that have their length in one unit and see the same images, not '
                         f'{sorted(units)} and {_seen(phases)}')
    unit = units.pop()
    batch, images = cfg.train_dataloader.batch_size, flops.images_of(phases[0], counted.images)
    per_image = sum(cost.truncated for cost in counted.costs)
    if unit == 'epochs':
        length = flops.equal_epochs(total, per_image, images, batch)
    else:
        length = max(1, round(total / (per_image * batch)))
    set_length(cfg, unit, length)
    others = {phase.name: getattr(phase, unit) for phase in counted.phases(cfg) if getattr(phase, unit) != length}
    if others:
        raise StudyError(f'equal compute sets schedule.phase_{unit}, but phases have lengths of their own: {others}')


def _seen(phases: list[Phase]) -> str:
    """Describe which images phases see, for a message."""
    fractions = sorted({phase.fraction for phase in phases if phase.data != 'unlabelled'})
    unlabelled = sorted({phase.unlabelled_fraction for phase in phases if phase.data in ('unlabelled', 'both')})
    return f'fractions {fractions}' + (f' and unlabelled fractions {unlabelled}' if unlabelled else '')


def as_schedule(cfg: Config) -> Config:
    """Return an ordinary run as a schedule of one phase without a teacher, to count and time it.

    Args:
        cfg: A config of mmsegmentation or mmpretrain, or one with a ``schedule``, which is returned as it is.

    Returns:
        A config with a ``schedule``.
    """
    if 'schedule' in cfg:
        return cfg
    whole = Config(cfg.to_dict())
    loop = whole.train_cfg
    by_epoch = loop.get('max_epochs') is not None
    length = dict(phase_epochs=loop.max_epochs) if by_epoch else dict(phase_iters=loop.max_iters)
    whole.schedule = dict(type='NoTeacher', val_interval=loop.get('val_interval', 1), **length)
    whole.model = dict(type='skd_mm.Distiller', student=dict(cfg=cfg))
    return whole


def describe_length(phases: int, length: int | None, unit: str) -> str:
    """Return the length of a run in words: ``'11 × 100 epochs'``.

    Args:
        phases: How many phases it has.
        length: Length of each; None if they differ.
        unit: ``'epochs'`` or ``'iters'``.

    Returns:
        The words.
    """
    if length is None:
        return f'{phases} phases'
    words = 'iterations' if unit == 'iters' else unit
    each = f'{length:,} {words[:-1] if length == 1 else words}'
    return f'{phases} × {each}' if phases > 1 else each
