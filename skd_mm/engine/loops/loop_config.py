"""Checks of the parts of a config that a training loop over phases depends on."""

from collections.abc import Mapping
from typing import Any

from mmengine.model import is_model_wrapper

from skd_mm.utils import did_you_mean

# Arguments of MMEngine's loops that the schedule replaces.
LENGTHS = ('max_epochs', 'max_iters', 'val_interval', 'val_begin', 'dynamic_intervals', 'by_epoch')


def check_loop_config(runner: Any, dataloader: Any, lengths: Mapping[str, Any]) -> None:
    """Refuses configs that :class:`PhaseLoop` cannot train, and logs which arguments of ``train_cfg`` it ignores.

    Args:
        runner: The runner.
        dataloader: ``train_dataloader``, which must be a config.
        lengths: The arguments of ``train_cfg`` other than its type.

    Raises:
        TypeError: The model is no distiller, there is no schedule, or the data loader is built already.
        ValueError: ``train_cfg`` has an unknown argument, or the config asks for a feature of MMEngine's that is
            incompatible with phases.
    """
    for key in lengths:
        if key not in LENGTHS:
            raise ValueError(f'train_cfg: PhaseLoop takes no {key!r}{did_you_mean(key, LENGTHS)}')
    if lengths:
        runner.logger.info(f'train_cfg: {dict(lengths)} are ignored: the schedule sets the lengths of its phases')
    if not isinstance(dataloader, dict):
        raise TypeError('PhaseLoop needs the config of the training data loader, not a built one')
    if 'schedule' not in runner.cfg:
        raise TypeError("PhaseLoop: the config has no `schedule`, such as dict(type='Stagewise', phase_epochs=50)")
    if runner.cfg.get('strategy') is not None:
        raise ValueError(f"PhaseLoop does not work with a `strategy` ({runner.cfg.strategy.get('type')}): phases "
                         "need MMEngine's Runner and its data-parallel wrapper")
    for key, option in (('compile', 'compile'), ('activation_checkpointing', 'gradient_checkpointing')):
        if runner.cfg.get(key):
            raise ValueError(f'PhaseLoop does not work with `{key}` at the top of a config: it does not outlast a '
                             f'phase, or updates the statistics of BN twice; set `model.{option}`')
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if not hasattr(model, 'activate'):
        raise TypeError(f'PhaseLoop trains a skd_mm.Distiller, not a {type(model).__name__}; a plain model is '
                        "trained with MMEngine's own loops")
