"""Distributed runs on machines without an accelerator."""

from functools import wraps
from typing import Any

import torch


def has_accelerator() -> bool:
    """Return whether MMEngine would use an accelerator."""
    from mmengine.device import get_device

    return get_device() != 'cpu'


def patch_cpu_distributed() -> None:
    """Make a Runner with ``launcher='pytorch'`` work without an accelerator.

    MMEngine would call ``torch.cuda.set_device``, initialise NCCL, wrap the model for GPU ``LOCAL_RANK`` and keep
    ``SyncBatchNorm`` layers, which refuse the CPU. With this patch the processes communicate over gloo, the model is
    wrapped with ``device_ids=None`` and ``SyncBatchNorm`` becomes ``BatchNorm``. With an accelerator nothing changes.
    """
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm

    init_dist = utils._init_dist_pytorch
    init_wrapper = MMDistributedDataParallel.__init__
    if hasattr(init_dist, '__wrapped__'):
        return

    @wraps(init_dist)
    def init_dist_on_cpu(backend: str, *args: Any, **kwargs: Any) -> None:
        if has_accelerator():
            init_dist(backend, *args, **kwargs)
            return
        kwargs.pop('init_backend', None)
        torch.distributed.init_process_group('gloo', **kwargs)

    @wraps(init_wrapper)
    def init_wrapper_on_cpu(self: Any, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        if not has_accelerator():
            module = revert_sync_batchnorm(module)
            kwargs['device_ids'] = None
        init_wrapper(self, module, *args, **kwargs)

    utils._init_dist_pytorch = init_dist_on_cpu
    MMDistributedDataParallel.__init__ = init_wrapper_on_cpu
