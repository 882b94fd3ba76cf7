"""Checks before the first iteration: build each phase, and run the task on one image."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.evaluator import Evaluator

from skd_mm.engine.schedulers.phase_schedulers import is_plateau
from skd_mm.features.temporary_modes import preserve_buffers
from skd_mm.models.label_teachers import LabelTeacher
from skd_mm.schedules import Phase
from skd_mm.utils import derive_seed, described, did_you_mean, temporary_seed

# Errors of a metric that is incompatible with the data or the model. Other errors may come from too few images.
_NEVER_RIGHT = (AttributeError, KeyError, NotImplementedError, TypeError)


def check_phases(loop: Any) -> None:
    """Activate each phase and builds its optimizer, so that errors in any phase are found before the first one.

    Args:
        loop: The training loop. Afterwards its last phase is activated.

    Raises:
        ValueError: A phase cannot be trained; the message names it.
    """
    misfits: dict[str, list[str]] = {}
    for phase in loop.phases:
        loop.data.check(phase)
        try:
            loop.activate(phase)
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(f'phase {phase.name!r}: {error.args[0]}') from error
        active = loop.distiller.active
        _check_unlabelled(loop, phase)
        if active.discriminators and not (active.spots or phase.validates_task) and loop.runner._val_loop is not None:
            raise ValueError(f'phase {phase.name!r}: discriminators alone, {list(phase.spots)}, cannot be validated; '
                             'add the spot itself, validate by the task, or leave out val_dataloader')
        _check_memories(loop, phase)
        if not loop.distiller.trainable():
            raise ValueError(f'phase {phase.name!r}: nothing in {phase.train} has parameters to train')
        try:
            loop.optimization.build(loop, phase, scale_lr=False)
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise ValueError(f'phase {phase.name!r}: its optim_wrapper or param_scheduler cannot be built: '
                             f'{error}') from error
        for misfit in loop.optimization.misfits(loop, phase):
            misfits.setdefault(misfit, []).append(f'{phase.name} ({loop.data.length(phase)} iterations, '
                                                  f'{loop.data.epochs(phase)} epochs)')
    for misfit, phases in misfits.items():
        loop.runner.logger.warning(f"{misfit} is beyond the end of {', '.join(phases)}: the schedule is cut off there; "
                                   "leave it out or set it to 'phase' for the length of the phase")


def _check_memories(loop: Any, phase: Phase) -> None:
    """Refuse memories that cannot hold a batch."""
    for spot, _ in loop.distiller.active.spots:
        check = getattr(getattr(spot, 'memory', None), 'check_batch', None)
        if check is not None:
            try:
                check(loop.data.global_batch_size)
            except ValueError as error:
                raise ValueError(f'phase {phase.name!r}, memory of spot {spot.name!r}: {error}') from error


def _check_unlabelled(loop: Any, phase: Phase) -> None:
    """Refuse what needs labels of all samples, in a phase with unlabelled ones."""
    if phase.data == 'labelled':
        return
    distiller = loop.distiller
    refused = ''
    if phase.spots and isinstance(distiller.teacher, LabelTeacher):
        refused = 'model.teacher, which answers from labels'
    conditional = [term.name for term, _ in distiller.active.discriminators if 'labels' in term.needs]
    if conditional:
        refused = f'{conditional}, whose discriminator gets labels'
    if phase.task and distiller.active.routed:
        refused = 'model.router, which decides with the task loss of the whole batch'
    if phase.task and getattr(distiller.data_preprocessor, 'batch_augments', None):
        refused = 'data_preprocessor.batch_augments, which would mix labelled and unlabelled images'
    if refused:
        raise ValueError(f"phase {phase.name!r}: data={phase.data!r} does not work with {refused}; set "
                         "data='labelled' in this phase")


def check_task(loop: Any) -> None:
    """Run the task on one image, so that an error in it does not end a run after all its feature phases.

    Args:
        loop: The training loop. Its weights and the random state stay as they are.

    Raises:
        DataError: The image cannot be read.
        ValueError: The student cannot be trained on an image of the training data or cannot predict one of the
            validation data, the evaluator cannot evaluate that, or ``save_best`` or the ``monitor`` of a parameter
            scheduler is none of its metrics.
    """
    phases = loop.phases[loop.index:]
    task = next((phase for phase in phases if phase.task), None)
    tested = next((phase for phase in phases if phase.validates_task), None)
    # The initial weights may not be drawn yet, so the random state must not change.
    with temporary_seed(derive_seed(loop.seed, 'trial', get_rank())):
        try:
            if task is not None and not loop.resumed:
                _activate(loop, task)
                first = loop.data.labelled(task)[:min(loop.dataloader.batch_size, 2)]
                check_losses(loop.distiller, loop.dataloader, [(int(index), loop.seed) for index in first], task.name)
            if tested is not None and loop.runner.val_loop is not None:
                _activate(loop, tested)
                _check_validation_and_metric(loop, tested)
        finally:
            loop.activate(loop.phase)


def _activate(loop: Any, phase: Phase) -> None:
    """Activate a phase without its cache: what would be cached now would belong to other weights."""
    loop.distiller.activate(**phase.activation)
    loop.distiller.eval()


def _check_validation_and_metric(loop: Any, task: Phase) -> None:
    runner = loop.runner
    disabled, runner.logger.disabled = runner.logger.disabled, True
    try:
        metrics = check_validation(loop.distiller, runner.val_loop.dataloader, loop.validation.evaluator(task),
                                   runner.cfg.val_evaluator)
    finally:
        runner.logger.disabled = disabled
    if metrics is None:
        return
    if loop.checkpoints.save_best != 'auto':
        loop.checkpoints.metric(task, metrics)
    cfgs = loop.optimization.scheduler_cfgs(task)
    for cfg in [cfgs] if isinstance(cfgs, Mapping) else cfgs:
        monitor = cfg.get('monitor')
        if is_plateau(cfg) and monitor is not None and monitor not in metrics:
            raise ValueError(f'param_scheduler: {cfg["type"]} has monitor={monitor!r}, which is not among the metrics '
                             f'of the validation, {list(metrics)}{did_you_mean(monitor, metrics)}')


def check_losses(distiller: Any, loader: Any, keys: Sequence[Any], phase: str) -> None:
    """Compute the student's own losses for one image, without training.

    Some losses need several images (mmsegmentation's KNet): if they fail with the first one, all are tried. Others
    need outputs that the model has in training mode only (PIDNet, DDRNet): then training mode is tried. BN statistics
    stay as they are.

    Args:
        distiller: With the task activated, in eval mode.
        loader: Loader of the training data.
        keys: Keys of one image or two in its data set, as many as a batch has.
        phase: Name of the phase, for messages.

    Raises:
        DataError: The image cannot be read.
        ValueError: It is not packed for a model, or the student has no losses or cannot compute them.
    """
    sample = loader.dataset[keys[0]]
    _check_packed(sample, 'train_dataloader')
    losses = _first_losses(distiller, loader, sample, keys)
    if not any('loss' in name for name in losses):
        raise ValueError(f'phase {phase!r} has a task, but the student (model.student) has no loss for it; it returns '
                         f'{sorted(losses)}: check its heads')


def _first_losses(distiller: Any, loader: Any, sample: Any, keys: Sequence[Any]) -> Mapping[str, Any]:
    try:
        return _losses(distiller, loader, [sample])
    except ValueError as error:
        samples = [loader.dataset[key] for key in keys]
        for training in (False, True):
            try:
                with preserve_buffers(distiller):
                    distiller.train(training)
                    return _losses(distiller, loader, samples)
            except ValueError:
                continue
            finally:
                distiller.eval()
        raise error from error.__cause__


def _losses(distiller: Any, loader: Any, samples: Sequence[Any]) -> Mapping[str, Any]:
    doing = 'model.student.data_preprocessor cannot prepare'
    try:
        with torch.no_grad():
            data = distiller.data_preprocessor(loader.collate_fn(samples), True)
            doing = 'the student (model.student) cannot be trained on'
            return distiller.student(**data, mode='loss')
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise ValueError(f'{doing} the first training image: {type(error).__name__}: {error}') from error


def check_validation(distiller: Any, loader: Any, evaluator: Evaluator, cfg: Any) -> dict[str, Any] | None:
    """Predict and evaluates one image.

    Args:
        distiller: With the task activated, in eval mode.
        loader: Loader of the validation data.
        evaluator: The evaluator of the task; a copy is used.
        cfg: Its config, for messages.

    Returns:
        The metrics; None if they may need more than one image.

    Raises:
        ValueError: The image cannot be read, predicted or evaluated.
    """
    evaluator = copy.deepcopy(evaluator)
    doing, evaluating = 'val_dataloader.dataset cannot give its first sample', False
    try:
        sample = loader.dataset[0]
        _check_packed(sample, 'val_dataloader')
        batch = loader.collate_fn([sample])
        doing = 'the student (model.student) cannot predict the first image of val_dataloader'
        with torch.no_grad():
            outputs = distiller.val_step(batch)
        doing, evaluating = f'val_evaluator ({described(cfg)}) cannot evaluate the first image of val_dataloader', True
        evaluator.process(outputs, batch)
        return _evaluate(evaluator)
    except Exception as error:
        if not evaluating or isinstance(error, _NEVER_RIGHT):
            raise ValueError(f'{doing}: {type(error).__name__}: {error}') from error
    return None


def _evaluate(evaluator: Evaluator) -> dict[str, Any]:
    """Compute the metrics of one image. Rank 0 computes them; if it fails, all processes raise its error."""
    failed: list[Exception | None] = [None]

    def tried(compute: Callable[[list], dict], results: list) -> dict:
        try:
            return compute(results)
        except Exception as error:
            failed[0] = failed[0] or error
            return {}

    for metric in evaluator.metrics:
        metric.compute_metrics = functools.partial(tried, metric.compute_metrics)
    metrics = evaluator.evaluate(1)
    broadcast_object_list(failed)
    if failed[0] is not None:
        raise failed[0]
    return metrics


def _check_packed(sample: Any, loader: str) -> None:
    if not isinstance(sample, Mapping) or 'inputs' not in sample:
        raise ValueError(f'{loader}.dataset.pipeline must end with a transform that packs what a model takes, such as '
                         f'PackSegInputs or PackInputs; a sample has {list(sample)}, and no `inputs`')
