"""Checks of the parts of a config that a training loop over phases depends on."""

from collections.abc import Mapping
from typing import Any

from mmengine.model import is_model_wrapper

from skd_mm.utils import did_you_mean

# Arguments of MMEngine's loops that the schedule replaces.
LENGTHS = ('max_epochs', 'max_iters', 'val_interval', 'val_begin', 'dynamic_intervals', 'by_epoch')

# Samplers of MMEngine that PhaseLoop replaces by its own.
_SAMPLERS = ('DefaultSampler', 'InfiniteSampler')


def check_loop_config(runner: Any, dataloader: Any, lengths: Mapping[str, Any]) -> None:
    """Refuse configs that :class:`PhaseLoop` cannot train, and logs which arguments of ``train_cfg`` it ignores.

    Args:
        runner: The runner.
        dataloader: ``train_dataloader``, which must be a config.
        lengths: The arguments of ``train_cfg`` other than its type.

    Raises:
        TypeError: The model is no distiller, there is no schedule, or the data loader is built already.
        ValueError: ``train_cfg`` has an unknown argument, the data loader has a sampler that phases cannot replace, or
            the config asks for a feature of MMEngine's that is incompatible with phases.
    """
    for key in lengths:
        if key not in LENGTHS:
            raise ValueError(f'train_cfg: PhaseLoop takes no {key!r}{did_you_mean(key, LENGTHS)}')
    if lengths:
        runner.logger.info(f'train_cfg: {dict(lengths)} are ignored: the schedule sets the lengths of its phases')
    if not isinstance(dataloader, dict):
        raise TypeError('PhaseLoop needs the config of the training data loader, not a built one')
    _check_sampler(runner, dataloader)
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


def _check_sampler(runner: Any, dataloader: Mapping[str, Any]) -> None:
    """Refuse samplers that choose samples in another way than a permutation in each epoch."""
    sampler = dataloader.get('sampler') or {}
    kind = sampler.get('type', _SAMPLERS[0]) if isinstance(sampler, Mapping) else type(sampler)
    name = str(getattr(kind, '__name__', kind)).rpartition('.')[2]
    if dataloader.get('batch_sampler') is not None:
        batch_sampler = dataloader['batch_sampler']
        raise ValueError(f'train_dataloader.batch_sampler: PhaseLoop draws the batches of a phase itself and does not '
                         f'support {batch_sampler.get("type", batch_sampler)!r}; remove it')
    if name not in _SAMPLERS:
        raise ValueError(f'train_dataloader.sampler: PhaseLoop permutes the samples of a phase itself and does not '
                         f'support {name!r}, only {" and ".join(_SAMPLERS)}; a data set that repeats samples, such as '
                         'ClassBalancedDataset, can be used with `fraction=1`')
    if isinstance(sampler, Mapping) and not sampler.get('shuffle', True):
        runner.logger.warning('train_dataloader.sampler: shuffle=False is ignored: a phase permutes its samples in '
                              'each epoch')
