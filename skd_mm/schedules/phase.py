"""A phase of a schedule, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from skd_mm.utils import did_you_mean

DATA = ('labelled', 'unlabelled', 'both')
"""What a phase may be trained on."""


@dataclass
class Phase:
    """A slice of the run.

    Attributes:
        name: Its name in logs, file names and errors; unique in its schedule.
        train: Names of the student's stages or modules to train; ``['all']`` for the whole student, or everything up to
            the last active spot if the task loss is off. Everything else stays bit-identical.
        spots: The active spots and the weight of each one's loss. A list means weight 1.
        task: Weight of the student's own losses; 0 turns off these losses and everything that only they need.
        epochs: Length in epochs; exactly one of ``epochs`` and ``iters`` is set.
        iters: Length in iterations.
        data: ``'labelled'`` trains on ``train_dataloader``, ``'unlabelled'`` on ``unlabelled_dataloader``, and
            ``'both'`` on batches with samples of both, whose task loss is that of the labelled ones. None (the default)
            is ``'unlabelled'`` if the task loss is off and the config has an ``unlabelled_dataloader``.
        labelled_share: The share of labelled samples in each batch if ``data`` is ``'both'``. An epoch then uses the
            unlabelled samples once. Defaults to 0.5.
        fraction: Fraction of the labelled training set to use, in (0, 1].
        unlabelled_fraction: Fraction of the unlabelled training set to use, in (0, 1].
        optim_wrapper: Changes to the config's ``optim_wrapper``, merged into it like an inherited config.
        param_scheduler: Replaces the config's ``param_scheduler`` if not None. Its ``begin``, ``end`` and periods are
            counted from the phase's start.
        teacher_forcing: Names of active spots after which the student continues with the teacher's feature instead of
            its own, so that the stages are trained at the same time and independently of each other. Validation runs
            the student as it is. ``'all'`` for all of them. Defaults to none.
        handover: Checkpoint of the previous phase to start from: ``'best'`` by that phase's metric, or ``'last'``. The
            first phase starts from the initial weights.
        val_interval: Epochs between validations, or iterations if ``iters`` is set. None validates at the end of the
            phase only; every phase is validated there.
        val_metric: What the phase is validated by, which selects its best checkpoint: ``'task'``, the config's
            evaluator on the student's predictions, or ``'spot_loss'``, the losses at the active spots. None (the
            default) is ``'task'`` if the task loss is on.
        frozen_bn: ``'eval'`` keeps the statistics of BN outside ``train``. ``'train'`` updates them, as in the code of
            SKD's published numbers; the parameters are frozen nevertheless.
        optimizer_params: Parameters that the optimizer holds, ``'trainable'`` or ``'all'``. SKD's published code uses
            ``'all'``. In both cases, only trainable parameters get a gradient.
    """

    name: str
    train: str | Sequence[str]
    spots: dict[str, float] = field(default_factory=dict)
    task: float = 0.0
    epochs: int | None = None
    iters: int | None = None
    data: str | None = None
    labelled_share: float = 0.5
    fraction: float = 1.0
    unlabelled_fraction: float = 1.0
    optim_wrapper: dict[str, Any] = field(default_factory=dict)
    param_scheduler: list[dict[str, Any]] | None = None
    teacher_forcing: str | Sequence[str] = ()
    handover: str = 'best'
    val_interval: int | None = None
    val_metric: str | None = None
    frozen_bn: str = 'eval'
    optimizer_params: str = 'trainable'

    def __post_init__(self) -> None:
        """Check every value that can be checked without a model."""
        where = f'phase {self.name!r}'
        if not isinstance(self.spots, dict):
            self.spots = dict.fromkeys(self.spots, 1.0)
        self.train = [self.train] if isinstance(self.train, str) else list(self.train)
        self._check_losses(where)
        self.task = float(self.task)
        self._check_length(where)
        if isinstance(self.teacher_forcing, str):
            self.teacher_forcing = list(self.spots) if self.teacher_forcing == 'all' else [self.teacher_forcing]
        check_names('active spot', self.teacher_forcing, list(self.spots), f'{where}, `teacher_forcing`')
        self._check_data(where)
        for key, choices in (('handover', ('best', 'last')), ('frozen_bn', ('eval', 'train')),
                             ('optimizer_params', ('trainable', 'all')), ('val_metric', (None, 'task', 'spot_loss'))):
            if getattr(self, key) not in choices:
                names = [choice for choice in choices if choice is not None]
                raise ValueError(f'{where}: `{key}` must be one of {choices}, not {getattr(self, key)!r}'
                                 f'{did_you_mean(getattr(self, key), names)}')
        if self.val_metric == 'spot_loss' and not self.spots:
            raise ValueError(f"{where}: val_metric='spot_loss' needs an active spot")

    def _check_losses(self, where: str) -> None:
        weights = {'task': self.task, **{f'spots[{name!r}]': weight for name, weight in self.spots.items()}}
        for key, weight in weights.items():
            if not isinstance(weight, bool | int | float):
                raise ValueError(f'{where}: `{key}` must be a number, the weight of a loss, not {weight!r}')
        if not self.train and not self.spots:
            raise ValueError(f'{where}: `train` names nothing to train')
        if not self.spots and not self.task:
            raise ValueError(f'{where}: there is nothing to learn from: no spot is active and the task loss is off')

    def _check_length(self, where: str) -> None:
        if (self.epochs is None) == (self.iters is None):
            raise ValueError(f'{where}: give exactly one of `epochs` ({self.epochs}) and `iters` ({self.iters}); '
                             '`phase_epochs` or `phase_iters` of the schedule is that of all its phases')
        for key in ('epochs', 'iters', 'val_interval'):
            value = getattr(self, key)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f'{where}: `{key}` must be a whole number from 1 on, not {value!r}')

    def _check_data(self, where: str) -> None:
        for key in ('fraction', 'unlabelled_fraction', 'labelled_share'):
            value, below_one = getattr(self, key), key == 'labelled_share'
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1 \
                    or (below_one and value == 1):
                raise ValueError(f'{where}: `{key}` must be in (0, 1{")" if below_one else "]"}, not {value!r}')
        if self.data is not None and self.data not in DATA:
            raise ValueError(f'{where}: `data` must be one of {DATA}, or None, not {self.data!r}'
                             f'{did_you_mean(self.data, DATA)}')
        if self.data == 'unlabelled' and self.task:
            raise ValueError(f"{where}: the task loss is on (task={self.task:g}) and needs labels: data='unlabelled' "
                             "has none; use 'both' or 'labelled', or task=0")

    def with_data(self, has_unlabelled: bool) -> 'Phase':
        """Return the phase with its ``data`` determined.

        Args:
            has_unlabelled: Whether the config has an ``unlabelled_dataloader``.

        Returns:
            A phase whose ``data`` is not None.

        Raises:
            ValueError: ``data`` needs unlabelled data, and there is none.
        """
        if self.data is None:
            return replace(self, data='unlabelled' if has_unlabelled and not self.task else 'labelled')
        if self.data != 'labelled' and not has_unlabelled:
            raise ValueError(f'phase {self.name!r}: data={self.data!r} needs an `unlabelled_dataloader` in the config, '
                             "such as dict(dataset=dict(type='skd_mm.UnlabelledDataset', data_root='a/folder'))")
        return self

    @property
    def activation(self) -> dict[str, Any]:
        """What :meth:`skd_mm.distillers.Distiller.activate` takes of it."""
        return dict(train=self.train, spots=self.spots, task=self.task, frozen_bn=self.frozen_bn,
                    teacher_forcing=self.teacher_forcing, predicts=self.validates_task)

    @property
    def validates_task(self) -> bool:
        """Whether the phase is validated by the config's evaluator."""
        return bool(self.task) if self.val_metric is None else self.val_metric == 'task'

    @property
    def samples(self) -> tuple[str | None, float | None, float | None, float | None]:
        """Which samples it sees: its data, the fractions of it, and the share of labelled samples."""
        labelled = None if self.data == 'unlabelled' else self.fraction
        unlabelled = None if self.data in (None, 'labelled') else self.unlabelled_fraction
        return self.data, labelled, unlabelled, self.labelled_share if self.data == 'both' else None

    def labelled_samples(self, batch_size: int) -> int:
        """Return how many samples of a batch are labelled.

        Args:
            batch_size: Samples per batch and process.

        Returns:
            The number; the same on each process, so that any number of processes gives the same task loss.

        Raises:
            ValueError: ``labelled_share`` is no whole number of the samples of a batch, or all or none of them.
        """
        if self.data != 'both':
            return 0 if self.data == 'unlabelled' else batch_size
        count = round(self.labelled_share * batch_size)
        if abs(count - self.labelled_share * batch_size) > 1e-6 or not 0 < count < batch_size:
            raise ValueError(f'phase {self.name!r}: labelled_share={self.labelled_share} of '
                             f'train_dataloader.batch_size={batch_size} must be a whole number of samples, at least 1 '
                             f'and less than the batch, not {self.labelled_share * batch_size:g}')
        return count

    @property
    def unit(self) -> str:
        """``'epochs'`` or ``'iters'``: what lengths and intervals of this phase are counted in."""
        return 'iters' if self.epochs is None else 'epochs'

    @classmethod
    def settings(cls) -> list[str]:
        """Return the names of all attributes, for checks of configs."""
        return [entry.name for entry in fields(cls)]


def with_length(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a phase in which a length in one unit takes away one in the other that all phases have in common."""
    lengths = {other: None for one, other in (('epochs', 'iters'), ('iters', 'epochs')) if one in values}
    return {**lengths, **values}


def check_names(kind: str, names: Sequence[str], choices: Sequence[str], where: str) -> None:
    """Refuse names that do not exist.

    Args:
        kind: What the names name, for the message.
        names: The names given.
        choices: The names that exist.
        where: Who gave them, for the message.

    Raises:
        ValueError: A name is not among ``choices``; the closest ones are given.
    """
    for name in names:
        if name not in choices:
            raise ValueError(f'{where}: there is no {kind} {name!r}{did_you_mean(name, choices)} '
                             f'(there are {list(choices)})')
