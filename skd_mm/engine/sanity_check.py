"""Trying the task on one image, as what is wrong with it must not end a run behind all its feature phases."""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.dist import broadcast_object_list
from mmengine.evaluator import Evaluator

from skd_mm.utils import described

# What a metric raises where it does not go with the data or the model. Anything else may be for want of images.
_NEVER_RIGHT = (AttributeError, KeyError, NotImplementedError, TypeError)


def check_losses(distiller: Any, loader: Any, key: Any, phase: str) -> None:
    """Lets the student learn from an image, without learning.

    Args:
        distiller: With the task activated, in eval mode.
        loader: Of the training data.
        key: Of the image in its data set.
        phase: Name of the phase, for messages.

    Raises:
        DataError: The image cannot be read.
        ValueError: It is not packed for a model, the student cannot learn from it, or has no loss.
    """
    sample = loader.dataset[key]
    _check_packed(sample, 'train_dataloader')
    doing = 'model.student.data_preprocessor cannot prepare'
    try:
        with torch.no_grad():
            data = distiller.data_preprocessor(loader.collate_fn([sample]), True)
            doing = 'the student (model.student) cannot learn from'
            losses = distiller.student(**data, mode='loss')
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise ValueError(f'{doing} the first training image: {type(error).__name__}: {error}') from error
    if not any('loss' in name for name in losses):
        raise ValueError(f'phase {phase!r} has a task, but the student (model.student) has no loss to learn it '
                         f'by; it gives {sorted(losses)}: look at its heads')


def check_validation(distiller: Any, loader: Any, evaluator: Evaluator, cfg: Any) -> dict[str, Any] | None:
    """Predicts and measures an image.

    Args:
        distiller: With the task activated, in eval mode.
        loader: Of the validation data.
        evaluator: The evaluator of the task; a copy is used.
        cfg: Its config, for messages.

    Returns:
        What was measured; None where the measure may need more than one image.

    Raises:
        ValueError: The image cannot be read, predicted or measured.
    """
    evaluator = copy.deepcopy(evaluator)
    doing, measures = 'val_dataloader.dataset cannot give its first sample', False
    try:
        sample = loader.dataset[0]
        _check_packed(sample, 'val_dataloader')
        batch = loader.collate_fn([sample])
        doing = 'the student (model.student) cannot predict the first image of val_dataloader'
        with torch.no_grad():
            outputs = distiller.val_step(batch)
        doing, measures = f'val_evaluator ({described(cfg)}) cannot measure the first image of val_dataloader', True
        evaluator.process(outputs, batch)
        return _measured(evaluator)
    except Exception as error:
        if not measures or isinstance(error, _NEVER_RIGHT):
            raise ValueError(f'{doing}: {type(error).__name__}: {error}') from error
    return None


def _measured(evaluator: Evaluator) -> dict[str, Any]:
    """Measures the image. The first process alone computes; where that fails, it is to fail in all of them."""
    failed: list[Exception | None] = [None]

    def tried(compute: Callable[[list], dict], results: list) -> dict:
        try:
            return compute(results)
        except Exception as error:
            failed[0] = failed[0] or error
            return {}

    for metric in evaluator.metrics:
        metric.compute_metrics = functools.partial(tried, metric.compute_metrics)
    measured = evaluator.evaluate(1)
    broadcast_object_list(failed)
    if failed[0] is not None:
        raise failed[0]
    return measured


def _check_packed(sample: Any, loader: str) -> None:
    if not isinstance(sample, Mapping) or 'inputs' not in sample:
        raise ValueError(f'{loader}.dataset.pipeline must end with a transform that packs what a model takes, such as '
                         f'PackSegInputs or PackInputs; a sample has {list(sample)}, and no `inputs`')
