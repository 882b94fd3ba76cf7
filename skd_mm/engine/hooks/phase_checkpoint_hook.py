"""Checkpoints of a run that has phases."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook

from skd_mm.engine.resume import archive_previous_run, choose_checkpoint, config_changes
from skd_mm.engine.work_dir_lock import lock_work_dir, unlock_work_dir
from skd_mm.evaluation.spot_loss import SPOT_LOSS
from skd_mm.registry import HOOKS
from skd_mm.schedules import Phase
from skd_mm.tasks import default_metric
from skd_mm.utils import atomic_replace, did_you_mean


@HOOKS.register_module()
class PhaseCheckpointHook(Hook):
    """Hook that saves the last checkpoints, and the best one of each phase.

    A run can be resumed from ``iter_<N>.pth``; ``last_checkpoint`` names the newest. The best weights of a phase, by
    the phase's own metric, are in ``best_<metric>_<phase>.pth``. Each file is written under another name, synced and
    renamed, so that it is either complete or does not exist; only then old ones are removed.

    :class:`PhaseLoop` replaces MMEngine's ``CheckpointHook`` with this hook.

    Args:
        interval: Epochs or iterations of a phase between checkpoints; None saves after each validation. Each phase
            saves at its end.
        save_best: The metric that selects the best checkpoint of phases that are validated by the task, as in
            MMEngine; ``'auto'`` takes mIoU or top-1 accuracy if they exist, else the first metric. Other phases use
            ``'spot_loss'``.
        rule: ``'greater'`` or ``'less'`` for that metric; inferred as in MMEngine if None.
        max_keep_ckpts: How many ``iter_<N>.pth`` to keep; at least 2, so that there is another one if the last one is
            damaged, or -1 for all.
        best_start: The spot loss that a feature phase's first validation has to improve on. Defaults to infinity;
            SKD's published code starts at 100, so that a phase whose loss stays above has no best checkpoint.
        by_epoch: Whether ``interval`` counts epochs. Defaults to None: it has the unit of the phase's length.

    Raises:
        ValueError: ``max_keep_ckpts`` is less than 2, ``interval`` less than 1, ``rule`` is unknown, or an argument
            has the wrong type.
    """

    priority = 'VERY_LOW'

    def __init__(self, interval: int | None = None, save_best: str | None = 'auto', rule: str | None = None,
                 max_keep_ckpts: int = 2, best_start: float = float('inf'), by_epoch: bool | None = None) -> None:
        if not isinstance(max_keep_ckpts, int) or (max_keep_ckpts != -1 and max_keep_ckpts < 2):
            raise ValueError(f'PhaseCheckpointHook: `max_keep_ckpts` must be 2 or more (or -1 for all), not '
                             f'{max_keep_ckpts!r}: a damaged last checkpoint would end the run')
        if interval is not None and (isinstance(interval, bool) or not isinstance(interval, int) or interval < 1):
            raise ValueError(f'PhaseCheckpointHook: `interval` must be a whole number from 1 on, or None, not '
                             f'{interval!r}')
        if save_best is not None and not isinstance(save_best, str):
            raise ValueError(f'PhaseCheckpointHook: `save_best` must be the name of a metric, not {save_best!r}')
        if isinstance(best_start, bool) or not isinstance(best_start, int | float):
            raise ValueError(f'PhaseCheckpointHook: `best_start` must be a number, not {best_start!r}')
        if rule not in (None, 'greater', 'less'):
            raise ValueError(f"PhaseCheckpointHook: `rule` must be 'greater' or 'less', not {rule!r}")
        if by_epoch not in (None, True, False):
            raise ValueError(f'PhaseCheckpointHook: `by_epoch` must be True, False or None, not {by_epoch!r}')
        self.interval = interval
        self.by_epoch = by_epoch
        self.save_best = save_best or 'auto'
        self.rule = rule
        self.max_keep_ckpts = max_keep_ckpts
        self.best_start = best_start
        self.best: dict[str, dict[str, Any]] = {}
        self.last: str | None = None

    @classmethod
    def from_mmengine(cls, hook: CheckpointHook, given: Mapping[str, Any]) -> 'PhaseCheckpointHook':
        """Make a hook with the settings of MMEngine's hook that apply to phases.

        Args:
            hook: The hook to replace.
            given: Its config, whose ``interval`` and ``max_keep_ckpts`` are used. Without them a checkpoint follows
                each validation, and two are kept: MMEngine's defaults would be one in each epoch, and all of them.

        Returns:
            The new hook.
        """
        save_best = hook.save_best[0] if isinstance(hook.save_best, list) else hook.save_best
        rules = getattr(hook, 'rules', None) or [None]
        keep = hook.max_keep_ckpts if 'max_keep_ckpts' in given else 2
        interval = hook.interval if 'interval' in given and hook.interval > 0 else None
        return cls(interval=interval, by_epoch=hook.by_epoch, save_best=save_best, rule=rules[0],
                   max_keep_ckpts=keep if keep == -1 else max(keep, 2))

    def interval_in(self, phase: Phase, epoch_length: int) -> int | None:
        """Return the iterations between checkpoints of a phase; None if they follow its validations.

        Args:
            phase: The phase.
            epoch_length: Its iterations per epoch.
        """
        if self.interval is None:
            return None
        by_epoch = phase.unit == 'epochs' if self.by_epoch is None else self.by_epoch
        return self.interval * (epoch_length if by_epoch else 1)

    def before_run(self, runner: Any) -> None:
        """Lock the work directory and chooses the checkpoint to resume from.

        Raises:
            RuntimeError: Another run is using the work directory.
        """
        lock_work_dir(runner.work_dir)
        choose_checkpoint(runner, keys=('schedule', 'best'))

    def after_run(self, runner: Any) -> None:
        """Unlock the work directory."""
        unlock_work_dir(runner.work_dir)

    def before_train(self, runner: Any) -> None:
        """Move the files of an earlier run away; this run may have read its initial weights from them."""
        if not runner._resume:
            archive_previous_run(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keep the weights if they are the phase's best."""
        phase = runner.train_loop.phase
        key = self.metric(phase, metrics or {})
        if key is None or metrics is None:
            return
        greater = self._greater(key)
        worst = float('-inf' if greater else 'inf')
        score = float(metrics.get(key, worst))
        if not metrics:
            # COCO's metric of a detector that finds nothing at all.
            runner.logger.warning(f'phase {phase.name}: the validation gives no metrics; it counts as the worst {key}')
        record = self.best.get(phase.name, dict(score=self.best_start if key == SPOT_LOSS else worst))
        better = score > record['score'] if greater else score < record['score']
        if not better and (metrics or phase.name in self.best):
            return
        name = f'best_{_file_name(key)}_{self.phase_name(runner.train_loop)}.pth'
        # The checkpoint holds its own record, so it is made before the file.
        self.best[phase.name] = dict(score=score, metric=key, file=name, iter=runner.train_loop.iter)
        self._write(runner, name, save_optimizer=False)
        runner.logger.info(f'phase {phase.name}: best {key} so far {score:.6g}, kept as {name}')

    def after_step(self, runner: Any, due: bool) -> None:
        """Save a state to resume from, after the validation that was due with it."""
        if due:
            name = f'iter_{runner.train_loop.iter}.pth'
            self._write(runner, name, save_optimizer=True)
            self.last = name
            if is_main_process():
                self._point_at_last(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Write the best records into a checkpoint."""
        checkpoint['best'] = self.best

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Take the best records out of a checkpoint that is resumed."""
        if runner._resume:
            self.best = checkpoint.get('best', {})
            self.last = f"iter_{checkpoint['meta']['iter']}.pth"
            before = checkpoint['meta'].get('cfg')
            changes = config_changes(before, runner.cfg.pretty_text) if before else []
            if changes:
                runner.logger.warning('the run continues with a changed config; the current phase keeps its optimizer '
                                      'and learning rate:\n' + '\n'.join(changes[:30]))
            # Look for the file of the next hand-over now, before the phase is trained.
            schedule = checkpoint['schedule']
            if schedule['phase'] in self.best and schedule['phase'] != schedule['phases'][-1]:
                self._find(runner, self.best[schedule['phase']]['file'])

    def handover_file(self, runner: Any, phase_name: str, handover: str) -> Path:
        """Return the file that the next phase starts from.

        Args:
            runner: The runner.
            phase_name: The phase that has ended.
            handover: ``'best'`` or ``'last'``.

        Returns:
            The path of the file.

        Raises:
            RuntimeError: The phase has no best checkpoint, because its metric never improved on its initial value.
        """
        if handover == 'last':
            return self._find(runner, str(self.last))
        if phase_name not in self.best:
            raise RuntimeError(f'phase {phase_name!r} has no best checkpoint to hand over: its metric never '
                               "improved on its initial value; see the log, or use `handover='last'`")
        return self._find(runner, self.best[phase_name]['file'])

    @staticmethod
    def _find(runner: Any, name: str) -> Path:
        """Return a file of this run; a run that was resumed from another folder may still have it there."""
        folders = [Path(runner.work_dir), *([Path(runner._load_from).parent] if runner._load_from else [])]
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
        raise FileNotFoundError(f'the run needs {name}, which is not in {" or ".join(map(str, folders))}')

    @staticmethod
    def phase_name(loop: Any) -> str:
        """Return the phase's number and name for file names."""
        return f'phase{loop.index:02d}_{_file_name(loop.phase.name)}'

    def metric(self, phase: Any, metrics: dict[str, float]) -> str | None:
        """Return the metric that selects the best checkpoint of a phase.

        Args:
            phase: The phase.
            metrics: The results of a validation.

        Returns:
            The name of the metric; None if there is none.

        Raises:
            ValueError: ``save_best`` is not among the metrics; the closest ones are given.
        """
        if not phase.validates_task:
            return SPOT_LOSS
        if self.save_best != 'auto':
            if metrics and self.save_best not in metrics:
                raise ValueError(f'PhaseCheckpointHook: save_best={self.save_best!r} is not among the metrics of the '
                                 f'validation, {list(metrics)}{did_you_mean(self.save_best, metrics)}')
            return self.save_best
        return default_metric(metrics)

    def _greater(self, key: str) -> bool:
        if self.rule is not None and key != SPOT_LOSS:
            return self.rule == 'greater'
        return not any(word in key.lower() for word in CheckpointHook._default_less_keys)

    def _write(self, runner: Any, name: str, save_optimizer: bool) -> None:
        folder, tmp = Path(runner.work_dir), f'.{name}.tmp'
        loop = runner.train_loop
        with _finished(folder, f'the checkpoint {name}', tmp):
            runner.save_checkpoint(str(folder), tmp, save_optimizer=save_optimizer,
                                   save_param_scheduler=save_optimizer and runner.param_schedulers is not None,
                                   meta=dict(epoch=loop.epoch, iter=loop.iter))
            if is_main_process():
                atomic_replace(folder / tmp, folder / name)

    def _point_at_last(self, runner: Any) -> None:
        folder, tmp = Path(runner.work_dir), '.last_checkpoint.tmp'
        with _finished(folder, 'last_checkpoint', tmp):
            (folder / tmp).write_text(str(folder / str(self.last)))
            atomic_replace(folder / tmp, folder / 'last_checkpoint')
        if self.max_keep_ckpts == -1:
            return
        now = runner.train_loop.iter
        files = {int(path.stem[5:]): path for path in folder.glob('iter_*.pth') if path.stem[5:].isdigit()}
        # Files of a longer run that had this folder before are not this run's to remove.
        for iteration in sorted(i for i in files if i <= now)[:-self.max_keep_ckpts]:
            files[iteration].unlink()


@contextmanager
def _finished(folder: Path, what: str, tmp: str) -> Iterator[None]:
    """Report files that cannot be written, and remove partial ones."""
    try:
        yield
    except OSError as error:
        reason = f'{what} could not be written to {folder} ({error.strerror or error})'
        raise type(error)(error.errno, reason) from error
    finally:
        if is_main_process():
            (folder / tmp).unlink(missing_ok=True)


def _file_name(name: str) -> str:
    return re.sub(r'[^\w.-]+', '_', name).strip('_')
