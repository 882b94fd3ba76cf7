"""Wrapping the model for data-parallel training of a phase."""

import copy
from typing import Any

from mmengine.dist import is_distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def wrap_for_phase(runner: Any, distiller: Any) -> nn.Module | None:
    """Wrap the distiller for the phase that is activated and gives it to the runner.

    A data-parallel wrapper reads ``requires_grad`` when it is built, so each phase needs one of its own. It also
    broadcasts the parameters of rank 0. Discriminators are trained in a backward pass of their own, so they have a
    wrapper of their own.

    Args:
        runner: The runner.
        distiller: The distiller, not wrapped.

    Returns:
        The active discriminators, wrapped; None if the phase has none.
    """
    discriminators: nn.Module | None = distiller.active.discriminator_model()
    if not is_distributed():
        return discriminators
    excluded = set(discriminators.parameters()) if discriminators is not None else set()
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(
        distiller, [name for name, parameter in distiller.named_parameters() if parameter in excluded])
    runner.model = _wrap(runner, distiller)
    return _wrap(runner, discriminators) if discriminators is not None else None


def _wrap(runner: Any, model: nn.Module) -> nn.Module:
    # The Runner has converted BN to SyncBN when it was built. Again, it would replace modules that the distiller keeps
    # in eval mode.
    sync_bn = runner.cfg.pop('sync_bn', None)
    try:
        return runner.wrap_model(copy.deepcopy(runner.cfg.get('model_wrapper_cfg')), model)
    finally:
        if sync_bn is not None:
            runner.cfg.sync_bn = sync_bn
