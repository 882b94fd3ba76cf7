"""Optimizer and parameter schedulers of a phase."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from skd_mm.distillers.loss_check import PATIENCE, LossCheck
from skd_mm.engine.schedulers.phase_schedulers import build_schedulers, misfits, schedulers_of_phase
from skd_mm.schedules import Phase

from .adversarial import build_alternating
from .amp_optim_wrapper import scales_loss


class PhaseOptimization:
    """Builder of the optimizer and the parameter schedulers of each phase.

    Args:
        runner: The runner. Its ``auto_scale_lr`` is applied here: the runner would scale the learning rate of the first
            phase only, and a second time.
    """

    def __init__(self, runner: Any) -> None:
        self.runner = runner
        self._optim_cfg = copy.deepcopy(runner.cfg.get('optim_wrapper') or {})
        self._scheduler_cfg = copy.deepcopy(runner.cfg.get('param_scheduler') or [])
        self._auto_scale_lr, runner.auto_scale_lr = runner.auto_scale_lr, None

    def build(self, loop: Any, phase: Phase, scale_lr: bool = True) -> None:
        """Set the optimizer wrapper and parameter schedulers of the runner.

        Args:
            loop: The training loop, whose distiller has the phase activated.
            phase: The phase.
            scale_lr: Whether to apply ``auto_scale_lr``. Defaults to True.

        Raises:
            RuntimeError: The optimizer does not hold exactly the trainable parameters.
        """
        runner = self.runner
        runner.param_schedulers = None
        optim_cfg = self._merged(phase)
        discriminator_cfg = optim_cfg.pop('discriminator', None)
        wrapper = runner.build_optim_wrapper(optim_cfg)
        discriminators = loop.distiller.active.discriminator_model()
        excluded = set(discriminators.parameters()) if discriminators is not None else set()
        for group in wrapper.optimizer.param_groups:
            group['params'] = [parameter for parameter in group['params'] if parameter not in excluded]
        if phase.optimizer_params == 'trainable':
            trainable = {name: parameter for name, parameter in loop.distiller.trainable().items()
                         if parameter not in excluded}
            _keep_trainable(wrapper.optimizer, trainable, phase)
        loop.distiller.loss_check = LossCheck(PATIENCE if scales_loss(wrapper) else 0)
        runner.optim_wrapper = wrapper
        if discriminators is not None:
            runner.optim_wrapper = build_alternating(wrapper, discriminators, discriminator_cfg)
        if scale_lr:
            runner.scale_lr(runner.optim_wrapper, self._auto_scale_lr)
        cfgs = schedulers_of_phase(self.scheduler_cfgs(phase), phase, loop.data.length(phase), loop.data.epochs(phase),
                                   self._lr_ratio(loop.data.global_batch_size) if scale_lr else 1.0)
        runner.param_schedulers = build_schedulers(cfgs, wrapper, loop.data.epoch_length(phase))
        if discriminators is not None:
            runner.param_schedulers = dict(student=runner.param_schedulers, discriminator=[])

    def _merged(self, phase: Phase) -> dict[str, Any]:
        """Return the config's ``optim_wrapper`` with the phase's changes."""
        cfg = Config(dict(optim_wrapper=copy.deepcopy(self._optim_cfg)))
        # Merging removes `_delete_` from what it merges.
        cfg.merge_from_dict(dict(optim_wrapper=copy.deepcopy(phase.optim_wrapper)))
        return cfg.optim_wrapper.to_dict()

    def scheduler_cfgs(self, phase: Phase) -> Any:
        """Return the configs of a phase's parameter schedulers, as written."""
        return self._scheduler_cfg if phase.param_scheduler is None else phase.param_scheduler

    def misfits(self, loop: Any, phase: Phase) -> Iterator[str]:
        """Yield the lengths of a phase's parameter schedulers that exceed the phase."""
        return misfits(self.scheduler_cfgs(phase), loop.data.length(phase), loop.data.epochs(phase))

    def _lr_ratio(self, batch_size: int) -> float:
        """Ratio of the global batch size to the one that the config's learning rates were chosen for."""
        settings = self._auto_scale_lr or {}
        return batch_size / settings['base_batch_size'] if settings.get('enable') else 1.0


def _keep_trainable(optimizer: Any, trainable: Mapping[str, nn.Parameter], phase: Phase) -> None:
    """Remove frozen parameters from an optimizer, whatever constructor made its groups."""
    for group in optimizer.param_groups:
        group['params'] = [parameter for parameter in group['params'] if parameter.requires_grad]
    optimizer.param_groups[:] = [group for group in optimizer.param_groups if group['params']]
    held = [id(parameter) for group in optimizer.param_groups for parameter in group['params']]
    names = {id(parameter): name for name, parameter in trainable.items()}
    if sorted(held) != sorted(names):
        missing = [name for key, name in names.items() if key not in held]
        raise RuntimeError(f'phase {phase.name!r}: the optimizer does not hold exactly the trainable parameters; '
                           f'missing: {missing[:5]}, duplicates: {len(held) - len(set(held))}')
