"""Loading checkpoints without running code from them."""

import importlib
import os
from functools import wraps
from typing import Any

import torch


def patch_checkpoint_loading() -> None:
    """Prevent checkpoints from running code when MMEngine loads them, and allow all that a Runner saves.

    :func:`skd_mm.checkpoint.read_checkpoint` reads every file. MMEngine 0.10.12 would load a file again without
    ``weights_only`` if the safe way fails, and temporarily marks ``getattr`` as safe; it loads files from a URL the
    unsafe way by default. ``Runner.resume`` would execute the text in ``meta.config``, which no MMEngine writes.
    """
    from mmengine.runner import Runner, checkpoint

    from skd_mm.checkpoint import read_checkpoint, trusted

    if hasattr(Runner.load_checkpoint, '__wrapped__'):
        return
    load_from_local, load_url, load_checkpoint = (
        checkpoint.load_from_local, checkpoint.load_url, Runner.load_checkpoint)

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
    _add_safe_globals()


def _add_safe_globals() -> None:
    """Allow what a Runner's checkpoint contains besides tensors and plain values.

    That is the message hub (``HistoryBuffer`` with numpy arrays of any scalar type) and the state of the schedulers.
    MMEngine 0.10.7 has no list of safe globals; that of 0.10.12 lacks numpy's ``float32``. Functions are pickled as
    ``getattr(class, name)``. The builtin would allow anything, so a ``getattr`` that knows only the functions MMEngine
    saves takes its place.
    """
    import numpy as np
    from mmengine.logging import HistoryBuffer
    from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
    from mmengine.utils import digit_version

    if digit_version(torch.__version__) < digit_version('2.6.0'):
        return  # it cannot mark globals as safe by name: runs are resumed with skd_mm.checkpoint.TRUST only
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
        safe[f'{module}._reconstruct'] = arrays._reconstruct
        safe[f'{module}.scalar'] = arrays.scalar
    safe['builtins.getattr'] = known_getattr
    torch.serialization.add_safe_globals([(value, name) for name, value in safe.items()])
