"""Tensors on the device: each wraps a tensor of the CPU, on which every operation is run."""

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from .backend import DEVICE, NAME, STATE

aten = torch.ops.aten
CPU = torch.device('cpu')

# Operations whose result is a number, or has a size, that the host must know before it continues.
WAITS = {aten._local_scalar_dense, aten.is_nonzero, aten.equal, aten.allclose, aten.nonzero, aten.masked_select,
         aten.bincount, aten._unique, aten._unique2, aten.unique_dim, aten.unique_consecutive,
         aten.unique_dim_consecutive, aten._linalg_check_errors}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}


class DeviceTensor(torch.Tensor):
    """A tensor on the device. Its data are in ``held``, a tensor of the CPU; those of a view are a view."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=DEVICE)
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})

    def __reduce_ex__(self, protocol):
        return self.held.detach().__reduce_ex__(protocol)  # a file is read with `map_location`

    def __repr__(self, *, tensor_contents=None):
        return f'DeviceTensor({self.held!r})'

    # PyTorch refuses these two of a subclass.
    def tolist(self):
        return self.detach().to('cpu').tolist()

    def __format__(self, form):
        return format(self.item(), form) if self.dim() == 0 else object.__format__(self, form)


class DeviceMode(TorchDispatchMode):
    """Sees the operations that have no tensor of the device among their arguments: factories and copies to it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})


def dispatch(func, args, kwargs):
    """Runs one operation."""
    packet, ledger = func.overloadpacket, STATE.ledger
    tensors = _tensors((args, tuple(kwargs.values())))
    on_device = [tensor for tensor in tensors if isinstance(tensor, DeviceTensor)]
    makes = 'device' in kwargs and kwargs['device'] is not None and torch.device(kwargs['device']).type == NAME
    if packet is aten.copy_:
        return copy(*args, **kwargs)
    if packet is aten._to_copy:
        return _to_copy(*args, **kwargs)
    if packet is not aten.detach:
        ledger.check_arrived(tensors)
    if not on_device and not makes:
        return _run_on_cpu(func, args, kwargs)
    if on_device:
        _check(func, args, kwargs, tensors)
    out = func(*_held(args), **_on_cpu(kwargs))
    return tree_map(lambda value: _wrapped(value, on_device), out)


def _tensors(value):
    """All tensors in arguments."""
    if isinstance(value, torch.Tensor):
        return [value]
    found = []
    if isinstance(value, list | tuple):
        for part in value:
            found += _tensors(part)
    return found


def _held(value):
    """Arguments with what the CPU has of them."""
    if isinstance(value, DeviceTensor):
        return value.held
    if isinstance(value, list | tuple):
        return type(value)(_held(part) for part in value)
    return value


def _on_cpu(kwargs):
    """The same for named arguments, a factory's device and memory among them."""
    held = {name: _held(value) for name, value in kwargs.items() if name != 'pin_memory'}
    if 'device' in held:
        held['device'] = CPU
    return held


def _run_on_cpu(func, args, kwargs):
    if not kwargs.get('pin_memory'):
        return func(*args, **kwargs)
    return pin(func(*args, **_on_cpu(kwargs)))


def _wrapped(value, on_device):
    """A result on the device; if it was changed in place it is the very tensor that was given."""
    if not isinstance(value, torch.Tensor):
        return value
    for tensor in on_device:
        if tensor.held is value:
            if value.shape != tensor.shape or value.stride() != tensor.stride():
                raise NotImplementedError('the test device cannot change the shape of a tensor in place')
            return tensor
    return DeviceTensor(value)


# What CUDA refuses, and what it waits for

def _check(func, args, kwargs, tensors):
    packet, ledger = func.overloadpacket, STATE.ledger
    if packet in INDEXING:
        _check_index(func, args)
        return
    _check_devices(func, args, tensors)
    if packet in WAITS or _waits_with(packet, args, kwargs):
        ledger.wait(str(packet))


def _check_devices(func, args, tensors):
    """Refuses tensors of two devices, but for single numbers of the CPU that are only read."""
    others = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor)]
    if not others:
        return
    written = []
    for argument, value in zip(func._schema.arguments, args, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += _tensors(value)
    if any(tensor.dim() for tensor in others) or any(tensor is one for tensor in others for one in written):
        raise RuntimeError(f'Expected all tensors to be on the same device, but found at least two devices, {DEVICE} '
                           f'and cpu! ({func})')


def _check_index(func, args):
    """Indices may be on the CPU, from where they are copied; a mask is turned into indices, of unknown number."""
    indices, values = [index for index in args[1] if index is not None], list(args[2:3])
    _check_devices(func, args[:1], [args[0], *values])
    for index in indices:
        if not isinstance(index, DeviceTensor):
            STATE.ledger.copy(f'{func} with an index on the CPU')
    accumulates = len(args) > 3 and args[3]
    if values and values[0].numel() == 1 and len(args[1]) == 1 and not accumulates:
        return  # a single number is filled in where the mask is set
    for index in indices:
        if index.dtype in (torch.bool, torch.uint8):
            STATE.ledger.wait(f'{func} with a mask')


def _waits_with(packet, args, kwargs):
    """Whether an operation waits with these arguments."""
    if packet is aten.repeat_interleave:
        return len(args) < 2 and kwargs.get('output_size') is None
    if packet is aten.multinomial:
        replacement = args[2] if len(args) > 2 else kwargs.get('replacement', False)
        return not replacement or args[1] == 1  # it checks the probabilities
    return False


# Copies

def _to_copy(tensor, device=None, non_blocking=False, pin_memory=None, **kwargs):
    target = tensor.device if device is None else torch.device(device)
    out = aten._to_copy.default(_held(tensor), **kwargs)
    if target.type == NAME:
        if not isinstance(tensor, DeviceTensor):
            STATE.ledger.copy_to_device(non_blocking and is_pinned(tensor))
        return DeviceTensor(out)
    if isinstance(tensor, DeviceTensor):
        STATE.ledger.copy_to_host(out, non_blocking)
        return pin(out) if non_blocking else out
    STATE.ledger.check_arrived([tensor])
    return out


def copy(target, source, non_blocking=False):
    """``target.copy_(source)``."""
    if isinstance(target, DeviceTensor) and not isinstance(source, DeviceTensor):
        STATE.ledger.copy_to_device(non_blocking and is_pinned(source))
    elif isinstance(source, DeviceTensor) and not isinstance(target, DeviceTensor):
        STATE.ledger.copy_to_host(target, non_blocking and is_pinned(target))
    else:
        STATE.ledger.check_arrived([source])
    _held(target).copy_(_held(source))
    return target


_PINNED = {}


def pin(tensor):
    """Marks the memory of a tensor of the CPU as pinned."""
    reference = StorageWeakRef(tensor.untyped_storage())
    _PINNED[reference.cdata] = reference
    return tensor


def is_pinned(tensor, device=None):
    """Whether a tensor of the CPU is in pinned memory."""
    reference = _PINNED.get(StorageWeakRef(tensor.untyped_storage()).cdata)
    return reference is not None and not reference.expired()


def pin_memory(tensor, device=None):
    """A copy in pinned memory."""
    if isinstance(tensor, DeviceTensor):
        raise RuntimeError(f'cannot pin {DEVICE} memory: only memory of the CPU can be pinned')
    return tensor if is_pinned(tensor) else pin(tensor.detach().clone())


# `torch.tensor(data, device=...)` hides what it does from modes; it runs these.

def _empty_strided(size, stride, *, dtype=None, layout=None, device=None, pin_memory=None):
    return DeviceTensor(torch.empty_strided(size, stride, dtype=dtype))


def _empty(size, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return DeviceTensor(torch.empty(size, dtype=dtype, memory_format=memory_format or torch.contiguous_format))


def _copy_from(source, target, non_blocking=False):
    return copy(target, source, non_blocking)


_LIBRARY = torch.library.Library('aten', 'IMPL')
for _name, _function in (('empty_strided', _empty_strided), ('empty.memory_format', _empty),
                         ('_copy_from', _copy_from)):
    _LIBRARY.impl(_name, _function, 'PrivateUse1')
