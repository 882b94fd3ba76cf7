"""Mixed precision on every machine."""

from typing import Any

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper as _AmpOptimWrapper
from mmengine.optim import OptimWrapper

from skd_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(_AmpOptimWrapper):
    """MMEngine's ``AmpOptimWrapper``, which also works on a CPU.

    With an accelerator, it is MMEngine's class. On a CPU, which MMEngine's class refuses, the forward pass runs under
    autocast to ``bfloat16``, the only half precision that MMEngine's autocast supports there. It has the range of
    ``float32``, so the loss is not scaled. Gradient accumulation and clipping work as in MMEngine.

    Example::

        optim_wrapper = dict(type='skd_mm.AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.01))

    Args:
        loss_scale: How the loss is scaled: ``'dynamic'``, a fixed factor, or the arguments of ``torch.amp.GradScaler``.
            Not used on a CPU. Defaults to ``'dynamic'``.
        dtype: Data type to cast to, as a ``torch.dtype`` or its name. On a CPU always ``bfloat16``, with a notice if
            another one is set. Defaults to None, the device's default.
        use_fsdp: Whether the model is sharded by FSDP. Not used on a CPU. Defaults to False.
        **kwargs: The arguments of MMEngine's ``OptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``.
    """

    def __init__(self,
                 loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype | None = None,
                 use_fsdp: bool = False,
                 **kwargs: Any) -> None:
        if get_device() != 'cpu':
            super().__init__(loss_scale=loss_scale, dtype=dtype, use_fsdp=use_fsdp, **kwargs)
            return
        OptimWrapper.__init__(self, **kwargs)
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            print_log(f'Mixed precision on a CPU is bfloat16, not {dtype}.', logger='current')
        self.cast_dtype = torch.bfloat16
        # Disabled: it hands the loss through, steps the optimizer and reads no state.
        self.loss_scaler = torch.amp.GradScaler('cpu', enabled=False)
        self._scale_update_param = None

    def state_dict(self) -> dict:
        """Return the state of the optimizer, and of the loss scaler if there is one.

        Returns:
            The state. The one of a run on a CPU has no ``loss_scaler``, so that a GPU can resume from it.
        """
        state = super().state_dict()
        if not self.loss_scaler.is_enabled():
            del state['loss_scaler']
        return state


def scales_loss(wrapper: OptimWrapper) -> bool:
    """Return whether an optimizer wrapper scales the loss, and so skips steps whose gradients are not finite."""
    scaler = getattr(wrapper, 'loss_scaler', None)
    return scaler is not None and scaler.is_enabled()
