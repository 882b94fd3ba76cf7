"""Training against a discriminator: two optimizers that take turns."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from torch import nn

from skd_mm.distillers.discriminators import Discriminators

from .amp_optim_wrapper import scales_loss

# LW-KD's (our own design): what a config's `optim_wrapper.discriminator` changes.
_DISCRIMINATOR = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999)))


class AlternatingOptimWrapper(OptimWrapperDict):
    """The optimizers of the student and of the discriminators, which are due in the same iterations.

    Args:
        student: The student's.
        discriminator: The discriminators'.
    """

    def __init__(self, student: OptimWrapper, discriminator: OptimWrapper) -> None:
        super().__init__(student=student, discriminator=discriminator)

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Start the counts of both, see MMEngine's ``OptimWrapper``."""
        for wrapper in self.values():
            wrapper.initialize_count_status(model, cur_iter, max_iters)

    def should_update(self) -> bool:
        """Return whether no accumulated gradients are waiting for a step."""
        return self['student'].should_update()


def build_alternating(student: OptimWrapper, discriminators: Discriminators,
                      changes: Mapping[str, Any] | None) -> AlternatingOptimWrapper:
    """Build the second optimizer.

    Args:
        student: The student's optimizer.
        discriminators: The discriminators of the phase.
        changes: Arguments of an optimizer wrapper that differ from Adam with lr 1e-4 and betas (.5, .999).

    Returns:
        Both. The discriminators' accumulates as many iterations as the student's. If the student's scales the loss, so
        does theirs by default: predictions that overflow must not train them.
    """
    cfg: dict[str, Any] = copy.deepcopy(_DISCRIMINATOR)
    if scales_loss(student):
        cfg['type'] = type(student)
    for key, value in (changes or {}).items():
        whole = isinstance(value, Mapping) and key in cfg and value.get('type', cfg[key]['type']) == cfg[key]['type']
        cfg[key] = {**cfg[key], **value} if whole else value
    cfg.setdefault('accumulative_counts', student._accumulative_counts)
    return AlternatingOptimWrapper(student, build_optim_wrapper(discriminators, cfg))


def adversarial_step(model: nn.Module, discriminators: nn.Module, batch: Any,
                     optim_wrapper: AlternatingOptimWrapper) -> dict[str, torch.Tensor]:
    """Run one iteration: a forward pass of the student, a step of the discriminators, then a step of the student.

    Args:
        model: The distiller, or its data-parallel wrapper.
        discriminators: Its discriminators, or their wrapper. Both have their own, because
            each has a backward pass of its own.
        batch: A batch of the data loader.
        optim_wrapper: Both optimizers.

    Returns:
        The values to log.
    """
    distiller: Any = model.module if is_model_wrapper(model) else model
    student, discriminator = optim_wrapper['student'], optim_wrapper['discriminator']
    with student.optim_context(model):
        data = distiller.data_preprocessor(batch, True)
        losses, cases = model(**data, mode='adversarial')
    with discriminator.optim_context(discriminators):
        judged, judged_vars = distiller.parse_losses(discriminators(cases))
    discriminator.update_params(judged)
    losses.update(distiller.active.generator_loss(cases))
    loss, log_vars = distiller.parse_losses(losses)
    student.update_params(loss)
    judged_vars.pop('loss')
    return {**log_vars, **judged_vars}
