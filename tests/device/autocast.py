"""``torch.autocast`` on the device, with the operations that CUDA casts, as far as tests use them."""

import torch

from .backend import NAME

aten = torch.ops.aten
LOWER = (aten.conv2d.default, aten.conv_transpose2d.input, aten.linear.default, aten.matmul.default, aten.mm.default,
         aten.bmm.default, aten.addmm.default, aten.baddbmm.default)
FLOAT32 = (aten.softmax.int, aten.log_softmax.int, aten.cross_entropy_loss.default, aten.nll_loss_nd.default,
           aten.mse_loss.default, aten.exp.default, aten.log.default, aten.pow.Tensor_Scalar, aten.sum.default,
           aten.sum.dim_IntList, aten.norm.ScalarOpt_dim, aten.cumsum.default)
_KEY = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)


def _cast(value, dtype):
    if isinstance(value, torch.Tensor) and value.device.type == NAME and value.is_floating_point():
        return value if value.dtype == torch.float64 else value.to(dtype)
    return value


def _kernel(op, dtype=None):
    def run(*args, **kwargs):
        target = dtype or torch.get_autocast_dtype(NAME)
        with torch._C._ExcludeDispatchKeyGuard(_KEY):
            return op(*(_cast(value, target) for value in args), **kwargs)

    return run


_ALL = torch.library.Library('_', 'IMPL')
_ALL.fallback(torch.library.fallthrough_kernel, 'AutocastPrivateUse1')
_SOME = torch.library.Library('aten', 'IMPL')
for _op in LOWER:
    _SOME.impl(_op, _kernel(_op), 'AutocastPrivateUse1')
for _op in FLOAT32:
    _SOME.impl(_op, _kernel(_op, torch.float32), 'AutocastPrivateUse1')
