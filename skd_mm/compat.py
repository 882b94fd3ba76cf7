"""What this toolkit needs mended around it, in one place.

Two sets of packages give the import names ``mmengine``, ``mmcv``, ``mmseg`` and ``mmpretrain``: the maintained
``onedl-*`` packages (the default line) and the original OpenMMLab releases. :func:`apply` is called by
``import skd_mm`` before anything imports them. Every function below mends one fault and does nothing where that fault
is not there.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import metadata
from types import ModuleType
from typing import Any

import torch

LINES: dict[str, tuple[tuple[str, ...], ...]] = {
    'maintained': (('onedl-mmengine',), ('onedl-mmcv',), ('onedl-mmsegmentation',), ('onedl-mmpretrain',)),
    'original': (('mmengine', 'mmengine-lite'), ('mmcv', 'mmcv-lite'), ('mmsegmentation',), ('mmpretrain',)),
}
"""The distributions of each line, one entry a package, with the names it may be installed under."""

INSTALL = {
    'maintained': 'pip install -r requirements/mminstall.txt',
    'original': 'pip install -r requirements/mminstall_original.txt',
}


def apply() -> None:
    """Applies every mend. Called once by ``import skd_mm``.

    Raises:
        ImportError: Neither or both lines of OpenMMLab packages are installed, or one is not complete.
    """
    line = installed_line()
    patch_torchvision()
    if line == 'original':
        patch_mmcv_ops()
    patch_package_names()
    patch_checkpoint_loading()
    patch_cpu_distributed()


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def installed_line() -> str:
    """Which line of OpenMMLab packages is installed.

    Returns:
        ``'maintained'`` or ``'original'``.

    Raises:
        ImportError: Neither or both lines are installed (they overwrite each other's files), or one is not complete.
    """
    found = {
        line: [name for names in packages for name in names if _is_installed(name)] for line, packages in LINES.items()
    }
    commands = f'  {INSTALL["maintained"]}   (maintained packages, the default)\n' \
               f'  {INSTALL["original"]}   (original OpenMMLab releases)'
    if all(found.values()):
        names = [name for line in found.values() for name in line]
        raise ImportError(
            "skd_mm: both lines of OpenMMLab packages are installed, and they overwrite each other's files. "
            f'Remove them with\n  pip uninstall -y {" ".join(names)}\nand install one of the two lines:\n{commands}')
    if not any(found.values()):
        raise ImportError('skd_mm: mmengine, mmcv, mmsegmentation and mmpretrain are not installed. '
                          f'Install one of the two lines:\n{commands}')
    line = next(line for line, names in found.items() if names)
    missing = [names[0] for names in LINES[line] if not set(names) & set(found[line])]
    if missing:
        raise ImportError(f'skd_mm: {", ".join(missing)} is missing beside {", ".join(found[line])}. '
                          f'Complete the line with\n  {INSTALL[line]}')
    return line


def patch_torchvision() -> None:
    """Declares torchvision's ``nms`` operators where its compiled extension cannot be loaded.

    A torchvision built for CUDA beside a CPU torch cannot load its extension and then fails at import with
    ``operator torchvision::nms does not exist``. That would break mmpretrain, and MMEngine's environment dump in every
    Runner. The operators themselves stay unavailable, with torchvision's own error.
    """
    if 'torchvision' in sys.modules or (spec := importlib.util.find_spec('torchvision')) is None:
        return
    extension = importlib.machinery.PathFinder.find_spec('_C', spec.submodule_search_locations)
    if extension is not None and extension.origin is not None:
        try:
            torch.ops.load_library(extension.origin)
        except (ImportError, OSError):
            pass
    for name in ('nms', 'qnms'):
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f'torchvision::{name}', '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')


def _no_compiled_op(name: str) -> Callable[..., Any]:

    def op(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"mmcv's compiled operator '{name}' is not available: mmcv-lite has none. Install mmcv with "
                           'its operators (https://mmcv.readthedocs.io), or choose a model that does not need them')

    return op


class _NoCompiledOps(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``mmcv._ext`` when nobody else does: a module whose every operator raises a clear error."""

    name = 'mmcv._ext'

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        return importlib.machinery.ModuleSpec(self.name, self) if fullname == self.name else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:

        def get(name: str) -> Callable[..., Any]:
            if name.startswith('__'):
                raise AttributeError(name)
            return _no_compiled_op(name)

        module.__getattr__ = get  # type: ignore[method-assign]


def patch_mmcv_ops() -> None:
    """Lets ``mmcv.ops`` be imported with mmcv-lite, which lacks the compiled operators behind it.

    mmsegmentation 1.2.2 imports ``mmcv.ops`` unconditionally. What needs no compiled operator in there
    (``point_sample``, the classes that configs name) works; a compiled operator raises a RuntimeError when called. The
    finder is the last one asked, so that a compiled ``mmcv._ext`` is always preferred.
    """
    if not any(isinstance(finder, _NoCompiledOps) for finder in sys.meta_path):
        sys.meta_path.append(_NoCompiledOps())


def patch_package_names() -> None:
    """Tells MMEngine which distribution ``mmseg::`` stands for, and that ``skd_mm::`` configs exist.

    The maintained line has no distribution named ``mmsegmentation``: ``_base_ = 'mmseg::…'`` would say that it is not
    installed, and ``mmengine.hub.get_config`` would start pip to install it over the maintained one.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    if not _is_installed(MODULE2PACKAGE['mmseg']):
        MODULE2PACKAGE['mmseg'] = 'mmseg'
    MODULE2PACKAGE.setdefault('skd_mm', 'skd_mm')


def patch_checkpoint_loading() -> None:
    """Lets no checkpoint that MMEngine loads run code, and lets what a Runner saves be loaded all the same.

    Everything is read by :func:`skd_mm.checkpoint.read_checkpoint`: MMEngine 0.10.12 would load a file anew without
    ``weights_only`` where the safe way fails, and marks ``getattr`` as safe for a moment; files behind a URL are loaded
    the unsafe way by default. ``Runner.resume`` would run the text under ``meta.config``, which no MMEngine writes.

    A Runner's checkpoint holds the message hub (``HistoryBuffer`` with numpy arrays of any scalar type) and the state
    of the schedulers. MMEngine 0.10.7 has no list of safe globals, 0.10.12 has one that lacks numpy's ``float32``.
    Functions are pickled as ``getattr(class, name)``: instead of the builtin, which would open the door to anything, a
    ``getattr`` that knows only the functions which MMEngine writes is marked as safe.
    """
    import numpy as np
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
    from mmengine.runner import Runner, checkpoint
    from mmengine.utils import digit_version

    from skd_mm.checkpoint import read_checkpoint, trusted

    load_from_local, load_url, load_checkpoint = (
        checkpoint.load_from_local, checkpoint.load_url, Runner.load_checkpoint)
    if hasattr(load_checkpoint, '__wrapped__'):
        return

    @wraps(load_from_local)
    def load_from_local_safely(filename: str, map_location: Any) -> Any:
        filename = os.path.expanduser(filename)
        if not os.path.isfile(filename):
            raise FileNotFoundError(f'there is no checkpoint {filename!r}')
        return read_checkpoint(filename, map_location)

    @wraps(load_url)
    def load_url_safely(*args: Any, **kwargs: Any) -> Any:
        return load_url(*args, **{'weights_only': not trusted(), **kwargs})

    @wraps(load_checkpoint)
    def load_checkpoint_without_config(self: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = load_checkpoint(self, *args, **kwargs)
        loaded.get('meta', {}).pop('config', None)
        return loaded

    checkpoint.CheckpointLoader.register_scheme(prefixes='', loader=load_from_local_safely, force=True)
    checkpoint.load_from_local, checkpoint.load_url = load_from_local_safely, load_url_safely
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = lambda file, map_location=None, **_: read_checkpoint(file, map_location)
    Runner.load_checkpoint = load_checkpoint_without_config

    if digit_version(torch.__version__) < digit_version('2.6.0'):
        return  # which cannot mark what is safe by name: a run is resumed there with skd_mm.checkpoint.TRUST only
    methods: dict[type, tuple[str, ...]] = {
        HistoryBuffer: ('min', 'max', 'mean', 'current'),
        OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
    }

    def known_getattr(owner: Any, name: str) -> Any:
        if not isinstance(owner, type) or name not in methods.get(owner, ()):
            raise ValueError(f"a checkpoint may not refer to the attribute '{name}' of {owner!r}")
        return getattr(owner, name)

    arrays = importlib.import_module('numpy._core.multiarray')
    scalars = '?' + np.typecodes['AllInteger'] + np.typecodes['Float']
    types = {*methods, slice, np.ndarray, np.dtype, *(type(np.dtype(code)) for code in scalars)}
    safe: dict[str, Any] = {f'{kind.__module__}.{kind.__qualname__}': kind for kind in types}
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        safe |= {f'{module}._reconstruct': arrays._reconstruct, f'{module}.scalar': arrays.scalar}
    safe['builtins.getattr'] = known_getattr
    torch.serialization.add_safe_globals([(value, name) for name, value in safe.items()])


def _has_accelerator() -> bool:
    from mmengine.device import get_device

    return get_device() != 'cpu'


def patch_cpu_distributed() -> None:
    """Lets a Runner with ``launcher='pytorch'`` work on a machine without an accelerator.

    There MMEngine would call ``torch.cuda.set_device``, initialise NCCL, wrap the model for GPU ``LOCAL_RANK`` and
    leave ``SyncBatchNorm`` layers in it, which refuse the CPU. With this mend the processes talk over gloo, the model
    is wrapped with ``device_ids=None`` and ``SyncBatchNorm`` becomes ``BatchNorm``. With an
    accelerator nothing changes.
    """
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm

    init_dist = utils._init_dist_pytorch
    init_wrapper = MMDistributedDataParallel.__init__
    if hasattr(init_dist, '__wrapped__'):
        return

    @wraps(init_dist)
    def init_dist_on_cpu(backend: str, *args: Any, **kwargs: Any) -> None:
        if _has_accelerator():
            init_dist(backend, *args, **kwargs)
            return
        kwargs.pop('init_backend', None)
        torch.distributed.init_process_group('gloo', **kwargs)

    @wraps(init_wrapper)
    def init_wrapper_on_cpu(self: Any, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        if not _has_accelerator():
            module = revert_sync_batchnorm(module)
            kwargs['device_ids'] = None
        init_wrapper(self, module, *args, **kwargs)

    utils._init_dist_pytorch = init_dist_on_cpu
    MMDistributedDataParallel.__init__ = init_wrapper_on_cpu
